-- Since when a workspace is heard without a break: after a long one its talk is read again.
CREATE TABLE heard(
    team_id text COLLATE "C" PRIMARY KEY,
    heard_at bigint NOT NULL,                    -- ms; when a socket of any worker was last known to be open
    missed_since bigint,                         -- ms; the start of a break whose talk was not read again yet
    gaps bigint NOT NULL DEFAULT 0               -- long breaks so far
);
