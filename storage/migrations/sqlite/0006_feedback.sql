-- What a turn had answered before it was answered again.
CREATE TABLE answer_version(
    turn_id INTEGER NOT NULL REFERENCES turn(id) ON DELETE CASCADE,
    version INTEGER NOT NULL,                    -- 1: its first answer
    text TEXT NOT NULL,
    kept_at INTEGER NOT NULL,
    PRIMARY KEY(turn_id, version)
) STRICT;

-- What people think of an answer: the newest word of each.
CREATE TABLE feedback(
    turn_id INTEGER NOT NULL REFERENCES turn(id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    good INTEGER NOT NULL,
    why TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL,                    -- of the answer
    given_at INTEGER NOT NULL,
    PRIMARY KEY(turn_id, user_id)
) STRICT;

ALTER TABLE turn ADD COLUMN anew INTEGER NOT NULL DEFAULT 0;         -- its question was changed while it was answered
ALTER TABLE turn ADD COLUMN reopened_at INTEGER NOT NULL DEFAULT 0;  -- ms; when its answer was last wanted again
