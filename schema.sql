-- The whole schema of a fresh Trunkline database. Older files are brought to it by migrations/NNNN-what.sql; a test
-- proves that both ways end in the same tables.
--
-- Times are milliseconds since 1970 (UTC). Ids of queue, outbox and dead_letters are AUTOINCREMENT: an id that is used
-- twice would make a cursor skip messages. Secrets are stored as they are; the file's mode is 0600.

-- Sites with operators.
create table portals (
  id         integer primary key autoincrement,
  name       text not null unique,                 -- chosen by the administrator
  protocol   text not null,                        -- 'box'
  url        text not null,                        -- base address without a trailing slash
  licence    text not null default '',             -- box: BX_LICENCE, the public account id
  key        text not null,                        -- box: K, md5 of the licence key (secret)
  version    text,                                 -- module version in the last signed request
  seen_at    integer,                              -- when that was
  created_at integer not null
) strict;
create unique index portals_licence_idx on portals (licence) where licence <> '';

-- One Open Line joined to one real channel. Due time and block live here, not on the messages.
create table lines (
  id               integer primary key autoincrement,
  portal_id        integer not null references portals (id),
  connector        text not null,                  -- real connector id
  line             text not null,                  -- the portal's own number, a decimal string
  hash             text unique,                    -- what the webhook address carries; null once taken over
  state            text not null default 'active', -- 'active', 'broken', 'taken_over'
  entity           text,                           -- the external bot, group or page; one live line for each
  attempts         integer not null default 0,     -- failed attempts of the packet at the head
  first_attempt_at integer,                        -- the 24 hours run from here
  blocked_until    integer,                        -- nothing is posted before
  last_error       text,                           -- what the last attempt or the channel complained of
  proved_at        integer,                        -- when a webhook last proved itself
  created_at       integer not null,
  status_missing_at integer,                       -- when the portal last said OK and sent no setStatusDelivered
  unique (portal_id, connector, line)
) strict;
create unique index lines_entity_idx on lines (connector, entity) where entity is not null;

-- Connection parameters of a line (secret, all of them).
create table settings (
  line_id integer not null references lines (id) on delete cascade,
  key     text not null,
  value   text not null,
  primary key (line_id, key)
) strict, without rowid;

-- Incoming: channel to portal. A row leaves when the portal has confirmed it, or as a dead letter.
create table queue (
  id          integer primary key autoincrement,
  line_id     integer not null references lines (id),
  connector   text not null,                       -- virtual connector id: one packet, one connector
  command     text not null,                       -- 'message', 'delivered', 'read', 'failed', 'lost', 'deactivated'
  chat        text not null,                       -- external chat id, as the portal confirms it
  message     text not null,                       -- external message id, likewise
  files       integer not null,                    -- how many the portal will download
  body        blob not null,                       -- JSON, see src/queue/body.rs
  accepted_at integer not null,                    -- the first time; a replay keeps it
  attempts    integer not null default 0,          -- posts that were not confirmed
  origin      integer,                             -- a replayed dead letter: the id it was accepted under
  replayed_at integer                              -- and when it came back
) strict;
create index queue_line_id_idx on queue (line_id, id);

-- Outgoing: portal to channel. A row leaves when the channel has taken it, or as a dead letter.
create table outbox (
  id          integer primary key autoincrement,
  line_id     integer not null references lines (id),
  chat        text not null,                       -- lane: one message of a chat at a time
  body        blob not null,                       -- JSON, see src/outbox/body.rs
  progress    text not null default '',            -- parts that have left, JSON; empty before the first
  accepted_at integer not null,
  attempts    integer not null default 0,
  due_at      integer not null,                    -- not before; grows with each attempt
  last_error  text,                                -- what the last attempt came to
  origin      integer,                             -- a replayed dead letter: the id it was accepted under
  replayed_at integer                              -- and when it came back: outbox.ttl runs from here
) strict;
create index outbox_lane_idx on outbox (line_id, chat, id);

-- Events that were taken in, so that a repeat adds nothing. Kept for queue.dedup_keep. Also what is left of a message
-- after its confirmation: when it was accepted, for which line, under which id.
create table seen (
  id        integer primary key autoincrement,     -- grows with time, so the oldest are found without an index on it
  key       blob not null unique,                  -- first 16 bytes of SHA-256 over direction, line and event key
  at        integer not null,
  line_id   integer,                               -- no reference: outlives the line
  queue_id  integer,                               -- id in queue of an incoming message, grows with ours
  outbox_id integer,                               -- id in outbox of an outgoing one, likewise
  external  integer                                -- first 8 bytes of SHA-256 over the external message id
) strict;

-- Which messages of a line were confirmed in which minute: one row a minute, not one a message, kept for a week.
create table deliveries (
  line_id   integer not null references lines (id) on delete cascade,
  direction text not null,                         -- 'in', 'out'
  minute    integer not null,                      -- since 1970
  first_id  integer not null,                      -- lowest and
  last_id   integer not null,                      -- highest id among them
  messages  integer not null,
  last_at   integer not null,                      -- when the last of them was confirmed
  primary key (line_id, direction, minute)
) strict, without rowid;

-- Customers' messages that were given up and of which the portal has yet to hear; gone once the news is in the queue.
create table losses (
  line_id   integer primary key references lines (id) on delete cascade,
  connector text not null,                         -- virtual connector id of one of them
  messages  integer not null,
  since     integer not null,                      -- when the first was accepted, unix seconds
  until     integer not null                       -- and the last
) strict;

-- What a later send into a chat needs.
create table chats (
  line_id    integer not null references lines (id) on delete cascade,
  chat       text not null,                        -- as the portal knows it
  connector  text not null,                        -- virtual connector id
  data       text not null,                        -- the connector's own JSON
  closed     integer not null default 0,
  updated_at integer not null,
  primary key (line_id, chat)
) strict, without rowid;

-- Short ids that stand for external ids over the portal's 100 characters.
create table aliases (
  line_id integer not null references lines (id) on delete cascade,
  short   text not null,
  long    text not null,
  at      integer not null,
  primary key (line_id, short)
) strict, without rowid;

-- Messages taken out for good. Nothing is forgotten by deletion. A replayed one stays as a record without its body.
create table dead_letters (
  id          integer primary key autoincrement,
  direction   text not null,                       -- 'in', 'out'
  message_id  integer not null,                    -- id it had in queue or outbox
  line_id     integer not null,                    -- no reference: outlives the line
  portal      text not null,                       -- the portal's name at that time
  connector   text not null,
  line        text not null,
  reason      text not null,                       -- 'expired', 'taken_over', 'permanent', 'line_removed', 'dropped', …
  error       text not null,                       -- sentence
  command     text not null,
  chat        text not null,
  message     text not null,
  body        blob not null,
  accepted_at integer not null,
  died_at     integer not null,
  attempts    integer not null default 0,          -- posts or sends that failed
  progress    text not null default '',            -- outgoing: parts that had left, as in outbox
  origin      integer,                             -- id it was first accepted under, when it is a replay that died again
  replayed_at integer,                             -- when it went back to queue or outbox
  replayed_as integer                              -- and under which id
) strict;
create index dead_letters_died_at_idx on dead_letters (died_at);
create index dead_letters_line_id_idx on dead_letters (line_id, id) where replayed_at is null;
create index dead_letters_message_id_idx on dead_letters (message_id);
create index dead_letters_replayed_as_idx on dead_letters (replayed_as) where replayed_as is not null;

-- The last attempts of each line; no content.
create table attempts (
  id        integer primary key autoincrement,
  line_id   integer not null references lines (id) on delete cascade,
  at        integer not null,
  millis    integer not null,
  messages  integer not null,
  outcome   text not null,                         -- 'confirmed' or the sentence of the failure
  direction text not null default 'in',            -- 'in', 'out'
  first_id  integer,                               -- lowest and
  last_id   integer                                -- highest id of the messages in it
) strict;
create index attempts_line_id_idx on attempts (line_id, id);

-- Sums, changed in the same transaction as the rows they count: accepted = queued + confirmed + dead.
create table counters (
  name      text not null,                         -- 'accepted', 'confirmed', 'dead', 'replayed', …
  connector text not null,
  direction text not null,                         -- 'in', 'out'
  class     text not null,                         -- reason class of 'dead', else ''
  value     integer not null,
  primary key (name, connector, direction, class)
) strict, without rowid;

-- Who changed what: takeover, unblock, drop, replay, purge.
create table journal (
  id      integer primary key autoincrement,
  at      integer not null,
  who     text not null,                           -- 'portal NAME', 'command line', 'server'
  what    text not null,
  line_id integer,
  detail  text not null
) strict;

-- What a connector wants to find again after a restart, such as public keys.
create table shelf (
  name text primary key,
  body text not null,
  at   integer not null
) strict, without rowid;
