-- What the oldest part of a thread comes to, where the thread does not fit the model's window. Messages stay.
CREATE TABLE summary(
    conversation_id INTEGER PRIMARY KEY REFERENCES conversation(id) ON DELETE CASCADE,
    text TEXT,                                   -- NULL: words that it was made of were changed or deleted since
    until_seq INTEGER NOT NULL,                  -- it stands for the turns before this one,
    until_ts TEXT NOT NULL,                      -- and in it for what was said up to then
    authors TEXT NOT NULL,                       -- JSON: user ids, in the order of their first words
    first_turn INTEGER NOT NULL,
    turn_id INTEGER NOT NULL                     -- made in; requests before it were other ones
) STRICT;
ALTER TABLE turn ADD COLUMN size INTEGER NOT NULL DEFAULT 0;  -- tokens of its newest request and answer
