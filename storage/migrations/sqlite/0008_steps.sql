-- What happened in a turn that its other rows do not tell, for whoever asks why. Names and ids, never words.
CREATE TABLE step(
    id INTEGER PRIMARY KEY,                      -- in the order in which they were written
    turn_id INTEGER NOT NULL REFERENCES turn(id) ON DELETE CASCADE,
    at INTEGER NOT NULL,                         -- ms
    what TEXT NOT NULL,                          -- of bot/trail.py
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX step_turn ON step(turn_id);

ALTER TABLE message ADD COLUMN event_id TEXT NOT NULL DEFAULT '';   -- Slack's, by which the log knows it
ALTER TABLE message ADD COLUMN reason TEXT NOT NULL DEFAULT '';     -- why the policy left it unanswered
ALTER TABLE call ADD COLUMN first_at INTEGER;                       -- ms; the model's first words
ALTER TABLE call ADD COLUMN error TEXT NOT NULL DEFAULT '';         -- what it failed with
