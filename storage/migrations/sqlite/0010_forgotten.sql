-- What must stay forgotten: nothing written up to then is kept again, whatever brings it. Ids and times only.
CREATE TABLE forgotten(
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,                       -- empty: of everybody
    channel_id TEXT NOT NULL,                    -- empty, and the next: everywhere
    thread_ts TEXT NOT NULL,
    known_ts TEXT NOT NULL,                      -- the newest message that was known of,
    until_ts TEXT NOT NULL,                      -- and when it was asked for, by the database's clock
    forgotten_at INTEGER NOT NULL,               -- ms; the same
    PRIMARY KEY(team_id, user_id, channel_id, thread_ts)
) STRICT, WITHOUT ROWID;

-- This database was a backup: what was said until then may be answered in Slack already.
CREATE TABLE restored(
    restored_ts TEXT PRIMARY KEY,                -- as Slack writes a moment
    restored_at INTEGER NOT NULL                 -- ms; the same
) STRICT, WITHOUT ROWID;

CREATE INDEX conversation_idle ON conversation(last_ts) WHERE pending_at IS NULL;
-- Whatever is left of somebody, deleted messages too.
CREATE INDEX message_person ON message(team_id, user_id);
-- Turns that were open when their thread was forgotten: whoever answers one must end.
CREATE INDEX turn_forgotten ON turn(id) WHERE stop_asked = 'forgotten';
