<?php

// The one sender: packets of ten messages of a line, oldest first, deleted when the portal has said OK.

declare(strict_types=1);

require __DIR__ . '/common.php';

[, $socket, $key] = $argv;
$db = database($socket);
$portals = $db->query('select id, portal from line')->fetchAll(PDO::FETCH_KEY_PAIR);
$curl = curl_init();
curl_setopt_array($curl, [CURLOPT_POST => true, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 60]);

function sign(array $fields, string $key): string
{
    return md5(md5(implode('|', $fields)) . md5($key));
}

while (true) {
    $lines = [];
    foreach ($db->query('select id, line_id, body from queue order by id limit 1000') as $row) {
        $lines[$row['line_id']][$row['id']] = json_decode($row['body'], true);
    }
    if ($lines === []) {
        usleep(1000);
        continue;
    }
    foreach ($lines as $line => $messages) {
        foreach (array_chunk($messages, 10, true) as $packet) {
            $fields = [
                'BX_COMMAND' => 'receivingMessage',
                'BX_TYPE' => 'CP',
                'BX_VERSION' => '1',
                'CONNECTOR' => 'botframework.webchat',
                'LINE' => (string) $line,
                'DATA' => base64_encode(serialize(array_values($packet))),
            ];
            $fields['BX_HASH'] = sign($fields, $key);
            curl_setopt($curl, CURLOPT_URL, $portals[$line] . '/pub/imconnector/index.php');
            curl_setopt($curl, CURLOPT_POSTFIELDS, http_build_query($fields));
            $reply = json_decode((string) curl_exec($curl), true);
            if (($reply['OK'] ?? false) !== true) {
                continue 2;
            }
            $db->exec('delete from queue where id in (' . implode(',', array_keys($packet)) . ')');
        }
    }
}
