-- Which processes work on this database: each of several says so every few seconds. A file's only one need not.
CREATE TABLE worker(
    id TEXT PRIMARY KEY,
    team_id TEXT NOT NULL,                       -- for whom it works
    seen_at INTEGER NOT NULL                     -- ms; 0: it has ended
) STRICT, WITHOUT ROWID;

ALTER TABLE heard ADD COLUMN reader TEXT NOT NULL DEFAULT '';  -- which worker reads what was missed
