-- The desk's own file: what a portal would keep of its Open Lines. Times are Unix milliseconds.
-- The connector server has a file of its own and never sees this one.

-- Those who answer customers, in the order in which conversations are offered to them.
create table operators (
    id integer primary key autoincrement,
    name text not null unique,
    -- `password::hash`; null: nobody asks for one.
    password text,
    -- Whether conversations are offered.
    here integer not null default 1 check (here in (0, 1)),
    -- When a conversation was last offered.
    last_turn integer
) strict;

-- Browsers in which an operator has signed in.
create table signed_in (
    -- `password::token_hash` of what the cookie carries.
    token text primary key,
    operator integer not null references operators on delete cascade,
    until integer not null
) strict, without rowid;

-- Customers; the same person at two channels is two of them.
create table customers (
    id integer primary key autoincrement,
    -- Virtual connector id, as it came.
    connector text not null,
    external text not null,
    name text not null,
    last_name text not null,
    url text,
    picture text,
    -- md5 of what the server said of the customer; nothing is written while it stays the same.
    fingerprint text not null,
    unique (connector, external)
) strict;

-- Conversations: one for each customer of a chat, in a group one for all of them.
create table talks (
    -- `im.chat_id`.
    id integer primary key autoincrement,
    connector text not null,
    line text not null,
    chat text not null,
    -- Null in a group.
    customer integer references customers,
    title text not null,
    state text not null check (state in ('waiting', 'taken', 'closed')),
    -- Since when it is in that state.
    since integer not null,
    -- Who has it, or had it last.
    operator integer references operators on delete set null,
    -- While it waits: whose turn it is, until when, and who has had one in this round.
    turn integer references operators on delete set null,
    turn_until integer,
    tried text not null default '[]',
    -- The customer was told that nobody is here.
    away_said integer not null default 0 check (away_said in (0, 1)),
    -- The customer was asked for a rating and has not given one.
    rating_asked integer not null default 0 check (rating_asked in (0, 1)),
    rating integer check (rating in (0, 1)),
    -- The customer blocked the bot.
    blocked integer not null default 0 check (blocked in (0, 1)),
    -- Newest message, 0 for none: the order of the list.
    newest integer not null default 0
) strict;
create unique index talks_place on talks (connector, line, chat, coalesce(customer, 0));
-- The list: those that are not closed first, the newest of each first.
create index talks_listed on talks (state = 'closed', newest desc);
-- To be named anew with their customer.
create index talks_customer on talks (customer);
-- What each operator has to do, counted for each of the page's questions.
create index talks_held on talks (operator) where state = 'taken';
create index talks_waiting on talks (turn_until) where state = 'waiting';

create table messages (
    -- `im.message_id`.
    id integer primary key autoincrement,
    talk integer not null references talks,
    -- When it came to the desk.
    at integer not null,
    author text not null check (author in ('customer', 'operator', 'system')),
    operator integer references operators on delete set null,
    customer integer references customers,
    -- What comments are written under, not a comment.
    post integer not null default 0 check (post in (0, 1)),
    -- BB-code, emoji as characters, without the operator's signature.
    text text not null,
    -- The server was given it; one of our own that was not, because the desk ended meanwhile, is sent after the start.
    handed integer not null default 0 check (handed in (0, 1)),
    -- How far an operator's or the desk's own message has come; null for customers'.
    mark text check (mark in ('sending', 'delivered', 'read', 'failed')),
    -- Why it failed.
    why text,
    -- The server had it under this id and gave up: it takes no id twice.
    spent integer not null default 0 check (spent in (0, 1)),
    edited integer not null default 0 check (edited in (0, 1)),
    deleted integer not null default 0 check (deleted in (0, 1))
) strict;
create index messages_talk on messages (talk, id);
create index messages_unsent on messages (id) where mark = 'sending' and handed = 0;

-- What channels call messages: one id of a customer's, several where an operator's was sent in parts.
create table externals (
    message integer not null references messages on delete cascade,
    place integer not null,
    external text not null,
    primary key (message, place)
) strict, without rowid;
create index externals_external on externals (external, message);

-- Files of messages.
create table files (
    id integer primary key autoincrement,
    message integer not null references messages on delete cascade,
    name text not null,
    url text not null,
    -- MIME type, where somebody said it.
    kind text,
    -- JSON list of pairs that open the address; secrets, gone once the file is here.
    headers text not null default '[]',
    -- link: it stays one; waiting: to be fetched; here; failed.
    state text not null check (state in ('link', 'waiting', 'here', 'failed')),
    -- Tries so far, and when the next one is due.
    attempts integer not null default 0,
    due integer not null default 0,
    size integer,
    content blob
) strict;
create index files_message on files (message);
create index files_waiting on files (due) where state = 'waiting';

-- What the last message of a chat came with, mixed into what goes there (Bot Framework).
create table ways (
    connector text not null,
    chat text not null,
    -- Serialized as PHP does, so that it goes back as it came.
    recipient text not null,
    service_url text not null,
    primary key (connector, chat)
) strict, without rowid;

-- Open Lines of this desk.
create table lines (
    line text primary key,
    -- The bot's name, null while nothing is connected.
    bot text,
    -- Since when the bot is connected elsewhere.
    attention_since integer,
    -- JSON object, see `LineSettings`.
    settings text not null default '{}'
) strict, without rowid;

-- How far each operator has read.
create table seen (
    operator integer not null references operators on delete cascade,
    talk integer not null references talks on delete cascade,
    message integer not null,
    primary key (operator, talk)
) strict, without rowid;

-- Events that the HTTP hook has not taken yet, oldest first.
create table events (
    id integer primary key autoincrement,
    at integer not null,
    body text not null,
    attempts integer not null default 0,
    due integer not null
) strict;
