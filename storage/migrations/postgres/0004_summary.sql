-- What the oldest part of a thread comes to, where the thread does not fit the model's window. Messages stay.
CREATE TABLE summary(
    conversation_id bigint PRIMARY KEY REFERENCES conversation(id) ON DELETE CASCADE,
    text text,                                   -- NULL: words that it was made of were changed or deleted since
    until_seq bigint NOT NULL,                   -- it stands for the turns before this one,
    until_ts text COLLATE "C" NOT NULL,          -- and in it for what was said up to then
    authors text NOT NULL,                       -- JSON: user ids, in the order of their first words
    first_turn bigint NOT NULL,
    turn_id bigint NOT NULL                      -- made in; requests before it were other ones
);
ALTER TABLE turn ADD COLUMN size bigint NOT NULL DEFAULT 0;  -- tokens of its newest request and answer
