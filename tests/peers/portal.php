<?php
// A portal's end of the wire with PHP's own functions: serialize, md5, http_build_query one way, unserialize the other.
// `php portal.php build VERSION` prints requests as JSON, `php portal.php read` checks a push from standard input.

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

function request(string $version, string $command, string $connector, $line, array $arguments): string
{
    $newer = (int) $version >= 23;
    $fields = [
        'BX_COMMAND' => $command,
        'BX_LICENCE' => md5('BITRIX' . KEY . 'LICENCE'),
        'BX_DOMAIN' => 'https://portal.example.test',
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

function build(string $version): array
{
    $message = [
        'im' => ['chat_id' => 113, 'message_id' => 2196],
        'message' => ['user_id' => 3, 'text' => "[b]Анна:[/b][br] Привет \u{1F44B} & <b>\"'+/=", 'files' => [
            ['name' => 'прайс.pdf', 'type' => 'file', 'link' => 'https://p/~x', 'size' => '12'],
        ], 'attachments' => [], 'params' => null],
        'chat' => ['id' => '29:1AbCdEf'],
        'service_url' => 'https://smba.example.test/apis/',
    ];
    return [
        'test' => request($version, 'testConnect', 'botframework', 3, []),
        'list' => request($version, 'listConnector', 'all', false, []),
        'save' => request($version, 'saveSettingsBotFramework', 'botframework', 3, [['bot_handle' => 'shop', 'app_secret' => '', 'n' => 0, 'f' => 1.5, 't' => true]]),
        'send' => request($version, 'sendMessage', 'botframework.skype', 3, [[$message]]),
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
        'data' => unserialize(base64_decode($fields['DATA'], true), ['allowed_classes' => false]),
        'again' => serialize(unserialize(base64_decode($fields['DATA']))) === base64_decode($fields['DATA']),
    ];
}

$result = $argv[1] === 'build' ? build($argv[2]) : read(stream_get_contents(STDIN));
echo json_encode($result, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
