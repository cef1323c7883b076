-- The queue of a connector on PHP and MariaDB, reduced to what storing and sending need.
create table line (
  id     int unsigned primary key,
  hash   char(64) character set ascii not null unique,
  portal varchar(200) not null
) engine = innodb;

create table queue (
  id      bigint unsigned primary key auto_increment,
  line_id int unsigned not null,
  chat    varchar(150) not null,
  message varchar(100) not null,
  body    mediumtext not null,
  at      bigint not null,
  key (line_id, id)
) engine = innodb default charset utf8mb4;

create table seen (
  event binary(16) primary key,
  at    bigint not null
) engine = innodb;
