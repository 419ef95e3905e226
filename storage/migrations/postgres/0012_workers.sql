-- Which processes work on this database: each of several says so every few seconds.
CREATE TABLE worker(
    id text COLLATE "C" PRIMARY KEY,
    team_id text COLLATE "C" NOT NULL,           -- for whom it works
    seen_at bigint NOT NULL                      -- ms; 0: it has ended
);

ALTER TABLE heard ADD COLUMN reader text COLLATE "C" NOT NULL DEFAULT '';  -- which worker reads what was missed
