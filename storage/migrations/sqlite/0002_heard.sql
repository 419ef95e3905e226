-- Since when a workspace is heard without a break: after a long one its talk is read again.
CREATE TABLE heard(
    team_id TEXT PRIMARY KEY,
    heard_at INTEGER NOT NULL,                   -- ms; when a socket was last known to be open
    missed_since INTEGER,                        -- ms; the start of a break whose talk was not read again yet
    gaps INTEGER NOT NULL DEFAULT 0              -- long breaks so far
) STRICT, WITHOUT ROWID;
