-- What replaying and tracing need: dead letters that know how to come back, events that know what became of them, and
-- a coarse record of confirmations.

alter table lines add column status_missing_at integer;

alter table queue add column origin integer;
alter table queue add column replayed_at integer;

alter table outbox add column last_error text;
alter table outbox add column origin integer;
alter table outbox add column replayed_at integer;

alter table seen add column line_id integer;
alter table seen add column queue_id integer;
alter table seen add column outbox_id integer;
alter table seen add column external integer;

create table deliveries (
  line_id   integer not null references lines (id) on delete cascade,
  direction text not null,
  minute    integer not null,
  first_id  integer not null,
  last_id   integer not null,
  messages  integer not null,
  last_at   integer not null,
  primary key (line_id, direction, minute)
) strict, without rowid;

alter table dead_letters add column attempts integer not null default 0;
alter table dead_letters add column progress text not null default '';
alter table dead_letters add column origin integer;
alter table dead_letters add column replayed_at integer;
alter table dead_letters add column replayed_as integer;
create index dead_letters_line_id_idx on dead_letters (line_id, id) where replayed_at is null;
create index dead_letters_message_id_idx on dead_letters (message_id);
create index dead_letters_replayed_as_idx on dead_letters (replayed_as) where replayed_as is not null;

alter table attempts add column direction text not null default 'in';
alter table attempts add column first_id integer;
alter table attempts add column last_id integer;

-- And what portals have yet to hear of losses.
create table losses (
  line_id   integer primary key references lines (id) on delete cascade,
  connector text not null,
  messages  integer not null,
  since     integer not null,
  until     integer not null
) strict;
