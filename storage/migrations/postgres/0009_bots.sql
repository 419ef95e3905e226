-- A bot wrote it: the model reads such words as information only.
ALTER TABLE message ADD COLUMN bot integer NOT NULL DEFAULT 0;
