<?php

declare(strict_types=1);

function database(string $socket): PDO
{
    return new PDO("mysql:unix_socket=$socket;dbname=peer;charset=utf8mb4", 'root', '', [
        PDO::ATTR_PERSISTENT => true,
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    ]);
}
