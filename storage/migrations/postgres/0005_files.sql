-- What the model reads of a file, once for all messages that bring the same.
CREATE TABLE file(
    sha256 text COLLATE "C" PRIMARY KEY,
    data bytea NOT NULL
);

-- What became of a message's file: read, or why not.
CREATE TABLE attachment(
    message_id bigint NOT NULL REFERENCES message(id) ON DELETE CASCADE,
    file_id text COLLATE "C" NOT NULL,           -- Slack's
    format text NOT NULL,                        -- '': not read
    reason text NOT NULL,
    size bigint NOT NULL,
    sha256 text COLLATE "C" REFERENCES file(sha256),
    name text NOT NULL,                          -- where the message did not tell
    PRIMARY KEY(message_id, file_id)
);
CREATE INDEX attachment_file ON attachment(sha256);

-- The last message that brought it is gone, or brings something else now: its bytes go, whatever the way. The file's
-- row is locked before it is looked for others that have it: somebody may be attaching it just now.
CREATE FUNCTION attachment_let_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM file WHERE sha256 = old.sha256 FOR UPDATE;
    DELETE FROM file WHERE sha256 = old.sha256
        AND NOT EXISTS (SELECT 1 FROM attachment WHERE sha256 = old.sha256);
    RETURN NULL;
END $$;
CREATE TRIGGER attachment_gone AFTER DELETE ON attachment FOR EACH ROW
    WHEN (old.sha256 IS NOT NULL) EXECUTE FUNCTION attachment_let_go();
CREATE TRIGGER attachment_changed AFTER UPDATE OF sha256 ON attachment FOR EACH ROW
    WHEN (old.sha256 IS DISTINCT FROM new.sha256) EXECUTE FUNCTION attachment_let_go();
