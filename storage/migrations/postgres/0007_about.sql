-- A conversation in a DM about a thread of another channel: that thread is read before its first turn. What was
-- taken from there has the source's ts, made unique by the digits of this conversation's own.
ALTER TABLE conversation ADD COLUMN about_channel text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE conversation ADD COLUMN about_thread text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX conversation_about ON conversation(team_id, about_channel) WHERE about_channel <> '';

-- What is kept of somebody's words.
CREATE INDEX message_author ON message(team_id, user_id) WHERE role = 'user' AND deleted_at IS NULL;
