-- Every model call: a row before its request goes out, with an estimate; at its end what it was.
CREATE TABLE call(
    id INTEGER PRIMARY KEY,                      -- sorts by time
    turn_id INTEGER REFERENCES turn(id) ON DELETE SET NULL,  -- what was spent outlives the words it was spent on
    team_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    user_id TEXT NOT NULL,                       -- whose budget it counts against
    model TEXT NOT NULL,
    purpose TEXT NOT NULL,                       -- answer, summary
    state TEXT NOT NULL,                         -- running, done, failed, stopped, lost
    estimated INTEGER NOT NULL,                  -- the figures are an estimate: Bedrock did not tell them
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,                -- all that was written, for whatever time
    cache_write_1h INTEGER NOT NULL,             -- the part of it that is kept for an hour
    output INTEGER NOT NULL,
    micro_usd INTEGER NOT NULL,
    request_id TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX call_turn ON call(turn_id);
CREATE INDEX call_running ON call(started_at) WHERE state = 'running';
-- Both cover what a budget sums up.
CREATE INDEX call_team ON call(team_id, started_at, micro_usd);
CREATE INDEX call_user ON call(team_id, user_id, started_at, micro_usd);

-- What admins set for a channel, in words said there.
CREATE TABLE channel_setting(
    team_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    name TEXT NOT NULL,                          -- instructions, model
    value TEXT NOT NULL,                         -- empty: as everywhere else
    set_by TEXT NOT NULL,
    set_ts TEXT NOT NULL,                        -- the message that set it: the newest one counts
    PRIMARY KEY(team_id, channel_id, name)
) STRICT, WITHOUT ROWID;

ALTER TABLE person ADD COLUMN admin INTEGER NOT NULL DEFAULT 0;
