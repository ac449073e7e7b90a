-- Schema 2. Times are microseconds since 1970 UTC unless a column says minute:
-- those are minutes since 1970. Reports see the same numbers whatever order
-- the rows were written in.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Every host, domain, relay, provider … once. 1 is always ''.
CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);

-- The operator behind a relay host, derived from the registry.
CREATE TABLE relays (
    relay    INTEGER PRIMARY KEY, -- name
    provider INTEGER NOT NULL     -- name
);

-- One combination of the dimensions that counts are kept by.
CREATE TABLE series (
    id       INTEGER PRIMARY KEY,
    format   INTEGER NOT NULL, -- name of the log format: postfix, exim, exchange-tracking …
    host     INTEGER NOT NULL, -- name of the host that wrote the log, '' unknown
    instance INTEGER NOT NULL, -- name of the MTA instance, '' the usual one
    sender   INTEGER NOT NULL, -- name of the sender's domain, '<>' null sender, '' unknown
    domain   INTEGER NOT NULL, -- name of the recipient's domain, '' none
    relay    INTEGER NOT NULL, -- name of the next hop, '' none
    UNIQUE (domain, relay, sender, host, instance, format)
);

-- What is only counted: deliveries, and what leaves no trace of its own.
CREATE TABLE counts (
    minute     INTEGER NOT NULL,
    series     INTEGER NOT NULL,
    delivered  INTEGER NOT NULL, -- attempts
    recipients INTEGER NOT NULL, -- delivered without any failing attempt or suspension before; not in the table recipients
    suspended  INTEGER NOT NULL,
    handed     INTEGER NOT NULL, -- recipients handed over to a content filter
    messages   INTEGER NOT NULL, -- whose first recipient turned up here
    PRIMARY KEY (minute, series)
) WITHOUT ROWID;

-- Messages that have rows in recipients.
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY,
    format     INTEGER NOT NULL, -- name
    host       INTEGER NOT NULL, -- name
    instance   INTEGER NOT NULL, -- name
    queue_id   TEXT NOT NULL,    -- for Exchange the id that stays with the message
    message_id TEXT NOT NULL,    -- of the header, with <>; '' unknown
    sender     TEXT,             -- '' null sender, NULL unknown
    client     TEXT NOT NULL,    -- that brought the message in, '' unknown
    client_ip  TEXT NOT NULL,
    size       INTEGER NOT NULL, -- bytes, 0 unknown
    first_seen INTEGER NOT NULL
);
CREATE INDEX messages_queue_id ON messages (queue_id);
CREATE INDEX messages_message_id ON messages (message_id) WHERE message_id <> '';

-- Recipients with a failing attempt or a suspension, and those still pending.
-- All others are in counts.recipients.
CREATE TABLE recipients (
    id         INTEGER PRIMARY KEY,
    message    INTEGER NOT NULL,
    series     INTEGER NOT NULL, -- of the last attempt
    address    TEXT NOT NULL,
    state      INTEGER NOT NULL, -- 0 pending 1 delivered 2 bounced 3 expired 4 removed 5 handed over 6 replaced
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    final_at   INTEGER,          -- when state was reached; NULL while pending
    cause      INTEGER,          -- of the last failing attempt
    exact_cause INTEGER          -- the same in the words of attempts.exact, NULL when there is none
);
CREATE INDEX recipients_message ON recipients (message);
CREATE INDEX recipients_last_seen ON recipients (last_seen, first_seen);
CREATE INDEX recipients_address ON recipients (address);

-- Failing attempts, one by one.
CREATE TABLE attempts (
    id        INTEGER PRIMARY KEY,
    time      INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    series    INTEGER NOT NULL, -- with the relay of this attempt
    outcome   INTEGER NOT NULL, -- 2 deferred 3 failed
    cause     INTEGER NOT NULL, -- in the words of exact, where there is one
    service   INTEGER NOT NULL, -- name
    ip        TEXT NOT NULL,    -- of the relay
    delay     INTEGER,          -- microseconds since arrival
    text      TEXT NOT NULL,    -- the reply, as logged
    exact     INTEGER,          -- attempt of a send log that reports the same failure, with its stage and the reply as it came
    own_cause INTEGER,          -- what cause was without exact
    pair      INTEGER           -- of tracking logs and send logs: hash of Message-ID, address and outcome, and which log it is
);
CREATE INDEX attempts_time ON attempts (time);
CREATE INDEX attempts_pair ON attempts (pair, time) WHERE pair IS NOT NULL;
CREATE INDEX attempts_exact ON attempts (time) WHERE exact IS NOT NULL;
-- Covers what a report reads of attempts, in the order of recipients.
CREATE INDEX attempts_recipient ON attempts (recipient, series, cause, outcome, time);

-- Mail this host refused to take in.
CREATE TABLE rejections (
    id        INTEGER PRIMARY KEY,
    time      INTEGER NOT NULL,
    series    INTEGER NOT NULL, -- sender and relay are '' here
    cause     INTEGER NOT NULL,
    service   INTEGER NOT NULL, -- name
    queue_id  TEXT NOT NULL,
    client    TEXT NOT NULL,
    client_ip TEXT NOT NULL,
    sender    TEXT,             -- '' null sender, NULL unknown
    recipient TEXT NOT NULL,
    text      TEXT NOT NULL,
    -- A line that is logged twice over (Exim's main and reject log) has one
    -- row; n is the greater of the times it was seen in either.
    line_hash INTEGER,
    n         INTEGER NOT NULL,
    n_main    INTEGER NOT NULL,
    n_copy    INTEGER NOT NULL
);
CREATE INDEX rejections_time ON rejections (time);
CREATE UNIQUE INDEX rejections_line ON rejections (line_hash) WHERE line_hash IS NOT NULL;

-- Connections to next hops, from logs that tell of them without recipients.
CREATE TABLE connections (
    minute   INTEGER NOT NULL,
    series   INTEGER NOT NULL, -- the relay is the next hop; sender and domain are ''
    cause    INTEGER NOT NULL, -- 0: it could be used
    session  TEXT NOT NULL,    -- of a failure, its id in all logs of the server; else ''
    n        INTEGER NOT NULL,
    messages INTEGER NOT NULL, -- that the next hop took
    text     TEXT NOT NULL,    -- of a failure; of several the smallest
    PRIMARY KEY (minute, series, cause, session)
) WITHOUT ROWID;

-- What the reason of a failure is found from, and the reason.
CREATE TABLE causes (
    id         INTEGER PRIMARY KEY,
    reply      INTEGER NOT NULL, -- 0 none
    enhanced   TEXT NOT NULL,    -- '' none
    mta_status TEXT NOT NULL,
    stage      INTEGER NOT NULL, -- registry.Stage
    source     INTEGER NOT NULL, -- registry.Source
    provider   INTEGER NOT NULL, -- name
    signature  TEXT NOT NULL,
    reason     TEXT NOT NULL,
    rule       TEXT NOT NULL,
    UNIQUE (signature, reply, enhanced, mta_status, stage, source, provider)
);

-- How many lines were read, by the time in them.
CREATE TABLE lines (
    minute     INTEGER PRIMARY KEY,
    read       INTEGER NOT NULL,
    understood INTEGER NOT NULL,
    irrelevant INTEGER NOT NULL,
    unparsed   INTEGER NOT NULL
);

-- How far every log was read; see package ingest/source.
CREATE TABLE sources (
    id              INTEGER PRIMARY KEY,
    fingerprint     BLOB NOT NULL,    -- of the beginning of the content
    fingerprint_len INTEGER NOT NULL, -- bytes
    offset          INTEGER NOT NULL, -- decompressed bytes that were read
    line            INTEGER NOT NULL,
    family          TEXT NOT NULL,    -- path that all generations share
    path            TEXT NOT NULL,
    device          INTEGER NOT NULL,
    inode           INTEGER NOT NULL,
    size            INTEGER NOT NULL, -- when last read to its end, else -1
    modified        INTEGER NOT NULL, -- nanoseconds since 1970, 0 unknown
    state           BLOB NOT NULL     -- of the parsers
);
CREATE INDEX sources_fingerprint ON sources (fingerprint_len, fingerprint);
CREATE INDEX sources_family ON sources (family);
CREATE INDEX sources_inode ON sources (inode, device);

-- Messages that have not ended, as package ingest/track keeps them.
CREATE TABLE open (
    key        BLOB PRIMARY KEY,
    last_seen  INTEGER NOT NULL,
    message_id INTEGER NOT NULL, -- hash, to find re-injected messages
    state      BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX open_message_id ON open (message_id);
