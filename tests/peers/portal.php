<?php
// A portal's end of the wire with PHP's own functions: serialize, md5, http_build_query one way, unserialize the other.
//
// php portal.php build VERSION               prints requests as JSON
// php portal.php read                        checks a push from standard input
// php portal.php pages SERVER VERSION DOMAIN calls the server as the settings pages do, prints the replies as JSON
// php portal.php say SERVER VERSION DOMAIN   an operator writes, and the portal hangs up
// php portal.php remove SERVER VERSION DOMAIN deletes connector and line, twice
// php portal.php flood SERVER VERSION DOMAIN COUNT BYTES the same with so many long messages, each on its own connection
// php -S 127.0.0.1:0 portal.php              the portal's endpoint; SERVER, VERSION and LOG come by the environment

const KEY = 'TEST-LICENCE-KEY-0001';

function stub($value, bool $newer)
{
    if (is_array($value) && $value !== []) {
        return array_map(fn ($inner) => stub($inner, $newer), $value);
    }
    if ($value === []) {
        return $newer ? '#EMPTY_ARRAY#' : '#EMPTY#';
    }
    return $value === null || $value === false || $value === '' ? '#EMPTY#' : $value;
}

function request(string $version, string $command, string $connector, $line, array $arguments, string $domain = 'https://portal.example.test'): string
{
    $newer = (int) $version >= 23;
    $fields = [
        'BX_COMMAND' => $command,
        'BX_LICENCE' => md5('BITRIX' . KEY . 'LICENCE'),
        'BX_DOMAIN' => $domain,
        'BX_TYPE' => 'CP',
    ];
    if ($newer) {
        $fields['BX_REGION'] = 'ru';
    }
    $fields += ['BX_VERSION' => $version, 'CONNECTOR' => $connector, 'LINE' => stub($line, $newer)];
    $fields['DATA'] = base64_encode(serialize(stub($arguments, $newer)));
    $fields['BX_HASH'] = md5(md5(implode('|', $fields)) . md5(KEY));
    return http_build_query($fields);
}

/** One call of the module's client: HTTP/1.0, `Host` without the port, head and body in two writes. */
function call(string $server, string $version, string $body, bool $wait): ?array
{
    ['scheme' => $scheme, 'host' => $host, 'port' => $port] = parse_url($server);
    // Certificates are not verified, as in the module.
    $context = stream_context_create(['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]]);
    $address = ($scheme === 'https' ? 'tls' : 'tcp') . "://$host:$port";
    $socket = stream_socket_client($address, $code, $error, 20, STREAM_CLIENT_CONNECT, $context);
    if (!$socket) {
        throw new RuntimeException($error);
    }
    $newer = (int) $version >= 23;
    $head = [
        'POST /imwebhook/portal.php' . ($newer ? '?connector=x&command=y HTTP/1.1' : ' HTTP/1.0'),
        'User-Agent: Bitrix Connector Client' . ($newer ? ' CP' : ''),
        ...($newer ? ['x-bitrix-licence: ' . md5('BITRIX' . KEY . 'LICENCE'), 'Expect:'] : []),
        "Host: $host",
        'Connection: close',
        'Accept: */*',
        'Accept-Language: en',
        'Content-Type: application/x-www-form-urlencoded',
        'Content-Length: ' . strlen($body),
    ];
    fwrite($socket, implode("\r\n", $head) . "\r\n\r\n");
    fwrite($socket, $body);
    if (!$wait && !$newer) {
        fclose($socket);
        return null;
    }
    $error = '';
    while (($line = trim(fgets($socket))) !== '') {
        if (stripos($line, 'x-bitrix-error:') === 0) {
            $error = trim(substr($line, 15));
        }
    }
    // From 23 on the head is all that is read of an answer that nobody waits for.
    $reply = $wait ? json_decode(stream_get_contents($socket), true, 512, JSON_THROW_ON_ERROR) : ['OK' => $error === ''];
    fclose($socket);
    return $reply + ['x-bitrix-error' => $error];
}

/** The order of calls from the settings pages, first and later saves, deleting. */
function pages(string $server, string $version, string $domain): array
{
    $ask = function (string $command, array $arguments = [], string $connector = 'botframework', $line = 7) use ($server, $version, $domain) {
        return call($server, $version, request($version, $command, $connector, $line, $arguments, $domain), true);
    };
    $all = fn (string $command, array $arguments = []) => $ask($command, $arguments, 'all', false);
    $form = ['bot_handle' => 'shop', 'app_id' => '11111111-2222-3333-4444-555555555555', 'app_secret' => 'Sécret "1"'];
    $links = ['url_skypebot', 'url_slack', 'url_kik', 'url_groupme', 'url_twilio', 'url_msteams', 'url_webchat', 'url_email', 'url_telegram', 'url_facebook'];
    $form += array_fill_keys($links, '');
    $replies = (int) $version < 18 ? ['list' => $all('listConnector')] : [];
    return $replies + [
        'form' => $ask('getAuthorizationInformation'),
        'clear' => $ask('unregister'),
        'save' => $ask('saveSettingsBotFramework', [$form]),
        'test' => $ask('testConnect'),
        'saved' => $ask('getAuthorizationInformation'),
        'links' => $ask('infoConnectLink'),
        'again' => $ask('saveSettingsBotFramework', [['url_slack' => 'https://slack.example.test/привет'] + array_merge($form, ['app_secret' => ''])]),
        'retest' => $ask('testConnect'),
        'after' => $ask('getAuthorizationInformation'),
        'widgets' => $all('infoConnectorsLine', [7]),
        'domain' => $all('saveDomainSite', [$domain . '/']),
        'unknown' => $ask('somethingNew', [1, 'two']),
    ];
}

/** Deleting the connector, then the line; both twice. */
function remove(string $server, string $version, string $domain): array
{
    $delete = fn () => call($server, $version, request($version, 'deleteConnector', 'botframework', '7', [], $domain), true);
    $line = fn () => call($server, $version, request($version, 'deleteLine', 'all', false, ['7'], $domain), true);
    return [$delete(), $delete(), $line(), $line()];
}

function message(): array
{
    return [
        'im' => ['chat_id' => 113, 'message_id' => 2196],
        'message' => ['user_id' => 3, 'text' => "[b]Анна:[/b][br] Привет \u{1F44B} & <b>\"'+/=", 'files' => [
            ['name' => 'прайс.pdf', 'type' => 'file', 'link' => 'https://p/~x', 'size' => '12'],
        ], 'attachments' => [], 'params' => null],
        'chat' => ['id' => '29:1AbCdEf'],
        'service_url' => 'https://smba.example.test/apis/',
    ];
}

function say(string $server, string $version, string $domain): array
{
    $message = ['chat' => ['id' => 'conversation-1']] + message();
    unset($message['service_url']);
    return call($server, $version, request($version, 'sendMessage', 'botframework.webchat', '7', [[$message]], $domain), false) ?? [];
}

function flood(string $server, string $version, string $domain, int $count, int $bytes): array
{
    for ($number = 0; $number < $count; $number++) {
        $message = ['chat' => ['id' => 'conversation-1'], 'im' => ['chat_id' => 113, 'message_id' => 5000 + $bytes + $number]] + message();
        $message['message']['text'] = str_repeat('x', $bytes);
        call($server, $version, request($version, 'sendMessage', 'botframework.webchat', '7', [[$message]], $domain), false);
    }
    return [];
}

function build(string $version): array
{
    return [
        'test' => request($version, 'testConnect', 'botframework', 3, []),
        'list' => request($version, 'listConnector', 'all', false, []),
        'save' => request($version, 'saveSettingsBotFramework', 'botframework', 3, [['bot_handle' => 'shop', 'app_secret' => '', 'n' => 0, 'f' => 1.5, 't' => true]]),
        'send' => request($version, 'sendMessage', 'botframework.skype', 3, [[message()]]),
        'update' => request($version, 'updateMessage', 'botframework.skype', 3, [[['im' => ['chat_id' => '113', 'message_id' => '2196'], 'message' => ['id' => ['a', 'b'], 'text' => 'new'], 'chat' => ['id' => 5]]]]),
        'status' => request($version, 'setStatusDelivered', 'botframework.skype', 3, [[['chat' => ['id' => 555], 'message' => ['id' => '42']]]]),
        'line' => request($version, 'deleteLine', 'all', false, [9]),
    ];
}

function read(string $body): array
{
    parse_str($body, $fields);
    $hash = $fields['BX_HASH'];
    unset($fields['BX_HASH']);
    return [
        'signed' => hash_equals(md5(md5(implode('|', $fields)) . md5(KEY)), $hash),
        'command' => $fields['BX_COMMAND'],
        'connector' => $fields['CONNECTOR'],
        'line' => $fields['LINE'],
        'data' => unserialize(base64_decode($fields['DATA'], true), ['allowed_classes' => false]),
        'again' => serialize(unserialize(base64_decode($fields['DATA']))) === base64_decode($fields['DATA']),
    ];
}

/** The endpoint: a packet is confirmed on a connection of its own before it is answered, up to version 20. */
function endpoint(string $body): array
{
    $push = read($body);
    file_put_contents(getenv('LOG'), json_encode($push, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR) . "\n", FILE_APPEND | LOCK_EX);
    if (!$push['signed']) {
        return ['OK' => false, 'DATA' => [], 'ERROR' => [['CODE' => 'LICENCE_ERROR']]];
    }
    $version = getenv('VERSION');
    if ($push['command'] === 'testConnect' && (int) $version < 23) {
        return ['OK' => true, 'DATA' => ['RESULT' => 'OK']];
    }
    if ($push['command'] === 'receivingMessage' && (int) $version < 21) {
        $named = array_map(fn ($one) => ['chat' => ['id' => $one['chat']['id']], 'message' => ['id' => $one['message']['id']]], $push['data']);
        call(getenv('SERVER'), $version, request($version, 'setStatusDelivered', $push['connector'], $push['line'], [$named]), false);
    }
    return ['OK' => true, 'DATA' => []];
}

if (PHP_SAPI === 'cli-server') {
    header('Content-Type: application/x-javascript; charset=UTF-8');
    echo json_encode(endpoint(file_get_contents('php://input')));
    return;
}
$result = match ($argv[1]) {
    'build' => build($argv[2]),
    'read' => read(stream_get_contents(STDIN)),
    'pages' => pages($argv[2], $argv[3], $argv[4]),
    'remove' => remove($argv[2], $argv[3], $argv[4]),
    'say' => say($argv[2], $argv[3], $argv[4]),
    'flood' => flood($argv[2], $argv[3], $argv[4], (int) $argv[5], (int) $argv[6]),
};
echo json_encode($result, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
