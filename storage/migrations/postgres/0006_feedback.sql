-- What a turn had answered before it was answered again.
CREATE TABLE answer_version(
    turn_id bigint NOT NULL REFERENCES turn(id) ON DELETE CASCADE,
    version bigint NOT NULL,                     -- 1: its first answer
    text text NOT NULL,
    kept_at bigint NOT NULL,
    PRIMARY KEY(turn_id, version)
);

-- What people think of an answer: the newest word of each.
CREATE TABLE feedback(
    turn_id bigint NOT NULL REFERENCES turn(id) ON DELETE CASCADE,
    user_id text COLLATE "C" NOT NULL,
    good integer NOT NULL,
    why text NOT NULL DEFAULT '',
    version bigint NOT NULL,                     -- of the answer
    given_at bigint NOT NULL,
    PRIMARY KEY(turn_id, user_id)
);

ALTER TABLE turn ADD COLUMN anew integer NOT NULL DEFAULT 0;         -- its question was changed while it was answered
ALTER TABLE turn ADD COLUMN reopened_at bigint NOT NULL DEFAULT 0;   -- ms; when its answer was last wanted again
