-- What the model reads of a file, once for all messages that bring the same.
CREATE TABLE file(
    sha256 TEXT PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- What became of a message's file: read, or why not.
CREATE TABLE attachment(
    message_id INTEGER NOT NULL REFERENCES message(id) ON DELETE CASCADE,
    file_id TEXT NOT NULL,                       -- Slack's
    format TEXT NOT NULL,                        -- '': not read
    reason TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT REFERENCES file(sha256),
    name TEXT NOT NULL,                          -- where the message did not tell
    PRIMARY KEY(message_id, file_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachment_file ON attachment(sha256);

-- The last message that brought it is gone, or brings something else now: its bytes go, whatever the way.
CREATE TRIGGER attachment_gone AFTER DELETE ON attachment BEGIN
    DELETE FROM file WHERE sha256 = old.sha256
        AND NOT EXISTS (SELECT 1 FROM attachment WHERE sha256 = old.sha256);
END;
CREATE TRIGGER attachment_changed AFTER UPDATE OF sha256 ON attachment BEGIN
    DELETE FROM file WHERE sha256 = old.sha256
        AND NOT EXISTS (SELECT 1 FROM attachment WHERE sha256 = old.sha256);
END;
