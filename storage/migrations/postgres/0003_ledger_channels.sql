-- Every model call: a row before its request goes out, with an estimate; at its end what it was.
CREATE TABLE call(
    id bigint PRIMARY KEY,                       -- sorts by time
    turn_id bigint REFERENCES turn(id) ON DELETE SET NULL,  -- what was spent outlives the words it was spent on
    team_id text COLLATE "C" NOT NULL,
    channel_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,           -- whose budget it counts against
    model text COLLATE "C" NOT NULL,
    purpose text NOT NULL,                       -- answer, summary
    state text NOT NULL,                         -- running, done, failed, stopped, lost
    estimated integer NOT NULL,                  -- the figures are an estimate: Bedrock did not tell them
    started_at bigint NOT NULL,
    finished_at bigint,
    input bigint NOT NULL,
    cache_read bigint NOT NULL,
    cache_write bigint NOT NULL,                 -- all that was written, for whatever time
    cache_write_1h bigint NOT NULL,              -- the part of it that is kept for an hour
    output bigint NOT NULL,
    micro_usd bigint NOT NULL,
    request_id text NOT NULL DEFAULT ''
);
CREATE INDEX call_turn ON call(turn_id);
CREATE INDEX call_running ON call(started_at) WHERE state = 'running';
-- Both cover what a budget sums up.
CREATE INDEX call_team ON call(team_id, started_at) INCLUDE (micro_usd);
CREATE INDEX call_user ON call(team_id, user_id, started_at) INCLUDE (micro_usd);

-- What admins set for a channel, in words said there.
CREATE TABLE channel_setting(
    team_id text COLLATE "C" NOT NULL,
    channel_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,              -- instructions, model
    value text NOT NULL,                         -- empty: as everywhere else
    set_by text NOT NULL,
    set_ts text COLLATE "C" NOT NULL,            -- the message that set it: the newest one counts
    PRIMARY KEY(team_id, channel_id, name)
);

ALTER TABLE person ADD COLUMN admin integer NOT NULL DEFAULT 0;
