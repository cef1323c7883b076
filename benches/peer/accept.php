<?php

// One webhook: find the line, read the activity, store it once, answer 200 after the commit.

declare(strict_types=1);

require __DIR__ . '/common.php';

$activity = json_decode((string) file_get_contents('php://input'), true);
if (!is_array($activity)) {
    http_response_code(400);
    exit;
}
$db = database($_SERVER['DB_SOCKET']);
$find = $db->prepare('select id from line where hash = ?');
$find->execute([$_GET['hash'] ?? '']);
$line = $find->fetchColumn();
if ($line === false) {
    http_response_code(404);
    exit;
}
$chat = (string) $activity['conversation']['id'];
$message = (string) $activity['id'];
$text = preg_replace('/[\x00-\x08\x0B-\x1F\x7F]/', '', (string) $activity['text']);
$body = json_encode([
    'user' => ['id' => $activity['from']['id'], 'name' => $activity['from']['name']],
    'message' => ['id' => $message, 'date' => strtotime($activity['timestamp']), 'text' => $text],
    'chat' => ['id' => $chat],
    'service_url' => $activity['serviceUrl'],
], JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR);

$db->beginTransaction();
$seen = $db->prepare('insert ignore into seen (event, at) values (?, ?)');
$seen->execute([md5("$line\n$chat\n$message", true), time()]);
if ($seen->rowCount() === 1) {
    $push = $db->prepare('insert into queue (line_id, chat, message, body, at) values (?, ?, ?, ?, ?)');
    $push->execute([$line, $chat, $message, $body, time()]);
}
$db->commit();
