-- Schema 7. Times are microseconds since 1970 UTC unless a column says minute,
-- hour or day: those are minutes, hours or days since 1970 UTC. Reports see the same
-- numbers whatever order the rows were written in.
--
-- To look into a database, use the views at the end: they spell out what the
-- tables keep as numbers.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Every host, domain, relay, provider, account … once. 1 is always ''.
CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);

-- Replies, addresses of mail and of hosts. 1 is always ''. Most are here once. The
-- address of a sender or a recipient is here from the second time on.
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL);

-- The operator behind a relay host, derived from the registry.
CREATE TABLE relays (
    relay    INTEGER PRIMARY KEY, -- name
    provider INTEGER NOT NULL     -- name
);

-- One combination of the dimensions that counts are kept by.
CREATE TABLE series (
    id        INTEGER PRIMARY KEY,
    format    INTEGER NOT NULL, -- name of the log format: postfix, exim, exchange-tracking …
    host      INTEGER NOT NULL, -- name of the host that wrote the log, '' unknown
    instance  INTEGER NOT NULL, -- name of the MTA instance, '' the usual one
    sender    INTEGER NOT NULL, -- name of the sender's domain, '<>' null sender, '' unknown
    domain    INTEGER NOT NULL, -- name of the recipient's domain, '' none
    relay     INTEGER NOT NULL, -- name of the next hop, '' none
    direction INTEGER NOT NULL, -- 0 outgoing 1 local 2 incoming
    own       INTEGER NOT NULL  -- 1: messages that this server made to report failures
);

-- What is only counted: deliveries, and what leaves no trace of its own. The
-- counts of an hour are the sum of its blocks (see block.go), whose columns are
-- series, cause, minute of the hour, delivered, recipients, suspended, handed,
-- messages, accepted, expected, heard. `mailfail db export` writes them as CSV.
--   delivered  attempts
--   recipients delivered without any failing attempt or suspension before; not in recipient_rows
--   suspended  put off without an attempt; cause is that of the failure it was put off for, 0 unknown
--   handed     recipients handed over to a content filter
--   messages   whose first recipient turned up here
--   accepted   messages that came into the queue, in a series without domain and relay
--   expected   their recipients, as far as the log gives the number
--   heard      of the accepted messages those of which something was heard since
CREATE TABLE counts (
    id   INTEGER PRIMARY KEY, -- hour * 1024 + number of the block
    data BLOB NOT NULL
);

-- The counts of a day, added up without their minutes. Days that were written to
-- since have none until they are added up anew. Segments of kind 6 have the same
-- by sender, host and quarter of an hour (see quarters.go), those of kind 7 by each
-- dimension alone (see totals.go), those of kind 8 by the hour (see hours.go).
CREATE TABLE days (day INTEGER PRIMARY KEY, data BLOB NOT NULL);

-- Messages that have rows in recipient_rows.
CREATE TABLE message_rows (
    id         INTEGER PRIMARY KEY,
    format     INTEGER NOT NULL, -- name
    host       INTEGER NOT NULL, -- name
    instance   INTEGER NOT NULL, -- name
    queue_id   TEXT NOT NULL,    -- for Exchange the id that stays with the message
    message_id TEXT NOT NULL,    -- of the header, with <>; '' unknown
    sender     INTEGER,          -- text, or the address itself; '' null sender, NULL unknown
    client     INTEGER NOT NULL, -- text: who brought the message in, '' unknown
    client_ip  INTEGER NOT NULL, -- text
    account    INTEGER NOT NULL, -- name: SASL login, local user; '' unknown
    size       INTEGER NOT NULL, -- bytes, 0 unknown
    first_seen INTEGER NOT NULL,
    own        INTEGER NOT NULL  -- 1: made by this server to report a failure
);

-- Recipients with a failing attempt or a suspension, and those still pending.
-- All others are in counts.
CREATE TABLE recipient_rows (
    id          INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL,
    series      INTEGER NOT NULL, -- of the last attempt
    address     INTEGER NOT NULL, -- text, or the address itself
    state       INTEGER NOT NULL, -- 0 pending 1 delivered 2 bounced 3 expired 4 removed 5 handed over 6 replaced
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    final_at    INTEGER,          -- when state was reached; NULL while pending
    cause       INTEGER,          -- of the last failing attempt
    exact_cause INTEGER,          -- the same in the words of attempt_rows.exact, NULL when there is none
    troubled    INTEGER NOT NULL  -- 1: failed or was put off at least once
);
CREATE INDEX recipients_message ON recipient_rows (message);

-- Failing attempts, one by one.
CREATE TABLE attempt_rows (
    id        INTEGER PRIMARY KEY,
    time      INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    series    INTEGER NOT NULL, -- with the relay of this attempt
    outcome   INTEGER NOT NULL, -- 2 deferred 3 failed
    cause     INTEGER NOT NULL, -- in the words of exact, where there is one
    service   INTEGER NOT NULL, -- name
    ip        INTEGER NOT NULL, -- text: address of the relay
    delay     INTEGER,          -- microseconds since arrival
    text      INTEGER NOT NULL, -- text: the reply, as logged
    first     INTEGER NOT NULL, -- 1: of its recipient for its reason
    exact     INTEGER,          -- attempt of a send log or a bounce that reports the same failure, with the reply as it came
    own_cause INTEGER,          -- what cause was without exact
    pair      INTEGER           -- of tracking logs and send logs: hash of Message-ID, address and outcome, and which log it is
);
CREATE INDEX attempts_recipient ON attempt_rows (recipient);
CREATE INDEX attempts_pair ON attempt_rows (pair, time) WHERE pair IS NOT NULL;

-- Mail this host refused to take in.
CREATE TABLE rejection_rows (
    id            INTEGER PRIMARY KEY,
    time          INTEGER NOT NULL,
    series        INTEGER NOT NULL, -- sender and relay are '' here
    cause         INTEGER NOT NULL,
    service       INTEGER NOT NULL, -- name
    queue_id      TEXT NOT NULL,
    client        INTEGER NOT NULL, -- text
    client_ip     INTEGER NOT NULL, -- text
    sender        INTEGER,          -- text; '' null sender, NULL unknown
    sender_domain INTEGER NOT NULL, -- name, as series.sender
    recipient     INTEGER NOT NULL, -- text
    text          INTEGER NOT NULL, -- text
    -- A line that is logged twice over (Exim's main and reject log) has one
    -- row; n is the greater of the times it was seen in either.
    line_hash     INTEGER,
    n             INTEGER NOT NULL,
    n_main        INTEGER NOT NULL,
    n_copy        INTEGER NOT NULL
);
CREATE UNIQUE INDEX rejections_line ON rejection_rows (line_hash) WHERE line_hash IS NOT NULL;

-- Finds messages and rejections by queue id, Message-ID and address of a
-- recipient. There may be more entries than rows.
CREATE TABLE lookup (
    day  INTEGER NOT NULL,
    hash INTEGER NOT NULL, -- 32 bits of the id or address
    ref  INTEGER NOT NULL, -- 2 * id of a message, or 2 * id of a rejection + 1
    PRIMARY KEY (day, hash, ref)
) WITHOUT ROWID;

-- The same, once there are many (see lookup.go).
CREATE TABLE lookup_blocks (
    run   INTEGER NOT NULL, -- day * 16 + number of the run
    first INTEGER NOT NULL, -- hash that none in the block is below
    data  BLOB NOT NULL,
    PRIMARY KEY (run, first)
) WITHOUT ROWID;

-- What reports read of the rows of other tables, as blocks of some thousand
-- rows (see segment.go). Rows with greater ids than the last block, and those in
-- changed, have to be read from their table. All of this can be made anew.
CREATE TABLE segments (
    kind  INTEGER NOT NULL,
    first INTEGER NOT NULL, -- id
    last  INTEGER NOT NULL, -- id
    low   INTEGER NOT NULL, -- time that no row is before
    high  INTEGER NOT NULL, -- time that no row is after
    data  BLOB NOT NULL,
    PRIMARY KEY (kind, first)
);
CREATE TABLE changed (
    kind INTEGER NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- Recipients that were delivered with nothing gone wrong, for some days; see
-- deliveries.go.
CREATE TABLE deliveries (
    id     INTEGER PRIMARY KEY, -- hour * 1024 + number of the block
    rows   INTEGER NOT NULL,
    filter BLOB NOT NULL,
    data   BLOB NOT NULL
);

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

-- Who brought messages in, by the hour.
CREATE TABLE submissions (
    hour       INTEGER NOT NULL,
    host       INTEGER NOT NULL, -- name
    sender     INTEGER NOT NULL, -- name of the domain, as series.sender
    account    INTEGER NOT NULL, -- name
    client     INTEGER NOT NULL, -- name
    messages   INTEGER NOT NULL,
    recipients INTEGER NOT NULL, -- as far as the log gives the number
    bytes      INTEGER NOT NULL DEFAULT 0, -- of the messages, likewise
    PRIMARY KEY (hour, host, sender, account, client)
) WITHOUT ROWID;

-- What is only added up, by the hour; store.Volume says what of.
CREATE TABLE volumes (
    hour    INTEGER NOT NULL,
    host    INTEGER NOT NULL, -- name
    measure INTEGER NOT NULL,
    value   INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    millis  INTEGER NOT NULL,
    PRIMARY KEY (hour, host, measure, value)
) WITHOUT ROWID;

-- Trouble that mail systems report of themselves, by the hour.
CREATE TABLE troubles (
    hour      INTEGER NOT NULL,
    format    INTEGER NOT NULL, -- name
    host      INTEGER NOT NULL, -- name
    kind      TEXT NOT NULL,
    signature TEXT NOT NULL,    -- text with its variable parts masked
    service   INTEGER NOT NULL, -- name; of several the smallest
    n         INTEGER NOT NULL,
    first     INTEGER NOT NULL, -- time
    last      INTEGER NOT NULL, -- time
    text      TEXT NOT NULL,    -- of several the smallest
    PRIMARY KEY (hour, format, host, kind, signature)
) WITHOUT ROWID;

-- What bounces and complaints report of mail that was sent before.
CREATE TABLE feedback (
    id        INTEGER PRIMARY KEY,
    kind      INTEGER NOT NULL, -- 1 bounce, in no log 2 of mail that a log has as delivered 3 of a failure that a log has too 4 complaint
    time      INTEGER NOT NULL,
    series    INTEGER NOT NULL, -- as the report has it
    cause     INTEGER NOT NULL, -- 0 of a complaint
    attempt   INTEGER,          -- of a bounce
    sent      INTEGER,          -- of kind 2: series of the delivery
    sent_at   INTEGER,          -- likewise, its time in whole seconds
    ids       TEXT NOT NULL,    -- Message-ID and queue ids of the mail, separated by blanks
    addresses TEXT NOT NULL,    -- of the recipient, in lower case, likewise
    text      TEXT NOT NULL,    -- reply, or type of a complaint
    hash      INTEGER UNIQUE    -- of a complaint: of Message-ID and recipient
);
CREATE INDEX feedback_time ON feedback (time);

-- What the reason of a failure is found from, and the reason; and with which
-- providers there was such a failure. The view causes has both.
CREATE TABLE cause_rows (
    id       INTEGER PRIMARY KEY,
    provider INTEGER NOT NULL, -- name
    kind     INTEGER NOT NULL
);
CREATE TABLE kinds (
    id         INTEGER PRIMARY KEY,
    reply      INTEGER NOT NULL, -- 0 none
    enhanced   TEXT NOT NULL,    -- '' none
    mta_status TEXT NOT NULL,
    stage      INTEGER NOT NULL, -- registry.Stage
    source     INTEGER NOT NULL, -- registry.Source
    signature  TEXT NOT NULL,
    reason     TEXT NOT NULL,
    rule       TEXT NOT NULL,
    decided    INTEGER NOT NULL, -- registry.DecidedBy
    confidence INTEGER NOT NULL  -- registry.Confidence
);

-- How many lines were read, by the time in them.
CREATE TABLE lines (
    minute     INTEGER PRIMARY KEY,
    read       INTEGER NOT NULL,
    understood INTEGER NOT NULL,
    irrelevant INTEGER NOT NULL,
    unparsed   INTEGER NOT NULL
);

-- The lines that had something to count, so that the same line of two logs counts
-- once: 32 bits of a hash of host, time, program, pid and text. They are kept for a
-- month, and no more than some millions.
CREATE TABLE line_hashes (
    log    INTEGER NOT NULL, -- name: the path that all generations share
    minute INTEGER NOT NULL,
    part   INTEGER NOT NULL,
    data   BLOB NOT NULL, -- see linehashes.go
    PRIMARY KEY (log, minute, part)
) WITHOUT ROWID;

-- Between which minutes a log holds lines of a host.
CREATE TABLE coverage (
    host  INTEGER NOT NULL, -- name
    log   INTEGER NOT NULL, -- name
    first INTEGER NOT NULL, -- minute
    last  INTEGER NOT NULL, -- minute
    PRIMARY KEY (host, log)
) WITHOUT ROWID;

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

-- Rows that were written since they were last sent to the database of a fleet.
CREATE TABLE changes (
    kind  INTEGER NOT NULL,
    id    INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- The views. They are what stays the same when the tables change.

CREATE VIEW causes AS SELECT c.id, k.reply, k.enhanced, k.mta_status, k.stage, k.source, c.provider, k.signature, k.reason, k.rule, k.decided, k.confidence
    FROM cause_rows AS c JOIN kinds AS k ON k.id = c.kind;

CREATE VIEW messages AS SELECT m.id, m.format, m.host, m.instance, m.queue_id, m.message_id, IFNULL(s.text, m.sender) AS sender,
    c.text AS client, i.text AS client_ip, a.text AS account, m.size, m.first_seen, m.own
    FROM message_rows AS m LEFT JOIN texts AS s ON s.id = m.sender JOIN texts AS c ON c.id = m.client
    JOIN texts AS i ON i.id = m.client_ip JOIN names AS a ON a.id = m.account;

CREATE VIEW recipients AS SELECT r.id, r.message, r.series, IFNULL(a.text, r.address) AS address, r.state, r.first_seen, r.last_seen,
    r.final_at, r.cause, r.exact_cause, r.troubled
    FROM recipient_rows AS r LEFT JOIN texts AS a ON a.id = r.address;

CREATE VIEW attempts AS SELECT a.id, a.time, a.recipient, a.series, a.outcome, a.cause, a.service, i.text AS ip, a.delay,
    t.text AS text, a.first, a.exact, a.own_cause, a.pair
    FROM attempt_rows AS a JOIN texts AS i ON i.id = a.ip JOIN texts AS t ON t.id = a.text;

CREATE VIEW rejections AS SELECT r.id, r.time, r.series, r.cause, r.service, r.queue_id, c.text AS client,
    i.text AS client_ip, s.text AS sender, p.text AS recipient, t.text AS text, r.line_hash, r.n, r.n_main, r.n_copy
    FROM rejection_rows AS r JOIN texts AS c ON c.id = r.client JOIN texts AS i ON i.id = r.client_ip
    LEFT JOIN texts AS s ON s.id = r.sender JOIN texts AS p ON p.id = r.recipient JOIN texts AS t ON t.id = r.text;

-- Every failing attempt with all that is known of it, in words.
CREATE VIEW failures AS SELECT a.id, strftime('%Y-%m-%dT%H:%M:%fZ', a.time / 1e6, 'unixepoch') AS time,
    CASE a.outcome WHEN 2 THEN 'deferred' ELSE 'failed' END AS outcome,
    fmt.text AS format, host.text AS host, m.queue_id, m.message_id, IFNULL(sender.text, m.sender) AS sender, IFNULL(address.text, r.address) AS recipient,
    domain.text AS domain, relay.text AS relay, provider.text AS provider, ip.text AS ip, account.text AS account,
    k.reply, k.enhanced, k.mta_status, k.reason, k.rule, k.signature, t.text AS text, a.delay / 1e6 AS delay
    FROM attempt_rows AS a JOIN causes AS k ON k.id = a.cause JOIN series AS s ON s.id = a.series
    JOIN names AS fmt ON fmt.id = s.format JOIN names AS host ON host.id = s.host
    JOIN names AS domain ON domain.id = s.domain JOIN names AS relay ON relay.id = s.relay
    JOIN relays AS v ON v.relay = s.relay JOIN names AS provider ON provider.id = v.provider
    JOIN texts AS ip ON ip.id = a.ip JOIN texts AS t ON t.id = a.text
    JOIN recipient_rows AS r ON r.id = a.recipient LEFT JOIN texts AS address ON address.id = r.address
    JOIN message_rows AS m ON m.id = r.message LEFT JOIN texts AS sender ON sender.id = m.sender
    JOIN names AS account ON account.id = m.account;
