-- A thread that Bobbin has joined. Its lease says who may work on it now, its fence which owner is the newest.
CREATE TABLE conversation(
    id INTEGER PRIMARY KEY,
    team_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    thread_ts TEXT NOT NULL,
    direct INTEGER NOT NULL DEFAULT 0,
    muted INTEGER NOT NULL DEFAULT 0,
    backfill INTEGER NOT NULL DEFAULT 0,         -- its earlier messages must still be read from Slack
    asker_id TEXT NOT NULL DEFAULT '',           -- who asked last, for fairness
    last_ts TEXT NOT NULL DEFAULT '',
    pending_at INTEGER,                          -- ms; NULL: nothing to do. Stays set while a turn is open
    place INTEGER NOT NULL DEFAULT 0,            -- ms; its place in the line, when it began to wait or later
    not_before INTEGER NOT NULL DEFAULT 0,       -- ms; settle time, backoff
    lease_owner TEXT,                            -- stays set when the owner dies: that is how a death is counted
    lease_until INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    UNIQUE(team_id, channel_id, thread_ts)
) STRICT;
CREATE INDEX conversation_line ON conversation(team_id, place) WHERE pending_at IS NOT NULL;
CREATE INDEX conversation_person ON conversation(team_id, asker_id, place) WHERE pending_at IS NOT NULL;
CREATE INDEX conversation_delayed ON conversation(not_before) WHERE not_before > 0;
CREATE INDEX conversation_leased ON conversation(team_id, lease_until) WHERE lease_owner IS NOT NULL;

CREATE TABLE turn(
    id INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,                        -- 0: what was said before Bobbin joined
    state TEXT NOT NULL CHECK(state IN ('open', 'answered', 'silent', 'failed', 'cancelled')),
    fence INTEGER NOT NULL,
    claims INTEGER NOT NULL DEFAULT 1,
    deaths INTEGER NOT NULL DEFAULT 0,
    stop_asked TEXT,                             -- stopped, deleted
    retry_asked INTEGER NOT NULL DEFAULT 0,
    answer TEXT,                                 -- between its end and the last Slack write; then it is a message
    stop_reason TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0,
    request_id TEXT NOT NULL DEFAULT '',
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    UNIQUE(conversation_id, seq)
) STRICT;
-- The one lock of the whole design: whoever opens a turn owns the thread's next answer.
CREATE UNIQUE INDEX turn_one_open ON turn(conversation_id) WHERE state = 'open';
CREATE INDEX turn_retry ON turn(conversation_id) WHERE retry_asked = 1;
CREATE INDEX turn_died ON turn(conversation_id) WHERE state = 'open' AND deaths > 0;

CREATE TABLE message(
    id INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
    team_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    ts TEXT NOT NULL,
    role TEXT NOT NULL CHECK(role IN ('user', 'assistant')),
    user_id TEXT NOT NULL,
    text TEXT NOT NULL,                          -- a person's in Slack's markup, an answer as the model wrote it
    files TEXT NOT NULL DEFAULT '[]',            -- JSON: [{"id", "name"}]
    addressed INTEGER NOT NULL DEFAULT 0,        -- 0: history only, starts no turn
    summons INTEGER NOT NULL DEFAULT 0,          -- mentions Bobbin, or is a DM
    external INTEGER,                            -- of another organisation; NULL: not known
    turn_id INTEGER REFERENCES turn(id) ON DELETE CASCADE,  -- NULL: waiting
    edit_ts TEXT NOT NULL DEFAULT '',
    deleted_at INTEGER,
    created_at INTEGER NOT NULL,
    UNIQUE(team_id, channel_id, ts)
) STRICT;
CREATE INDEX message_conversation ON message(conversation_id);
CREATE INDEX message_turn ON message(turn_id);
CREATE INDEX message_waiting ON message(conversation_id) WHERE turn_id IS NULL;
CREATE UNIQUE INDEX message_one_answer ON message(turn_id) WHERE role = 'assistant' AND addressed = 1;

-- Every message that Bobbin made in a thread: what stands there and is not here has lost its record in a crash.
CREATE TABLE reply_part(
    team_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    ts TEXT NOT NULL,
    turn_id INTEGER NOT NULL REFERENCES turn(id) ON DELETE CASCADE,
    part INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK(kind IN ('answer', 'error', 'notice')),
    PRIMARY KEY(team_id, channel_id, ts)
) STRICT, WITHOUT ROWID;
CREATE INDEX reply_part_turn ON reply_part(turn_id);

-- Messages made by an owner that had lost its lease, or that show nothing any more: deleted once the turn is closed.
CREATE TABLE orphan(
    team_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    ts TEXT NOT NULL,
    turn_id INTEGER NOT NULL,
    PRIMARY KEY(team_id, channel_id, ts)
) STRICT, WITHOUT ROWID;

-- Events that were handled, so that a redelivery changes nothing; and the shape of those that could not be read.
CREATE TABLE inbox(
    team_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    shape TEXT,
    received_at INTEGER NOT NULL,
    PRIMARY KEY(team_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_received ON inbox(received_at);

-- Messages deleted before they came: the late original is not taken in.
CREATE TABLE tombstone(
    team_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    ts TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY(team_id, channel_id, ts)
) STRICT, WITHOUT ROWID;

CREATE TABLE person(
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    guest INTEGER NOT NULL DEFAULT 0,
    external INTEGER NOT NULL DEFAULT 0,
    learned_at INTEGER NOT NULL,
    PRIMARY KEY(team_id, user_id)
) STRICT, WITHOUT ROWID;

-- Private notes that were given, so that none is given twice a day.
CREATE TABLE note(
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    given_at INTEGER NOT NULL,
    PRIMARY KEY(team_id, user_id, reason)
) STRICT, WITHOUT ROWID;
