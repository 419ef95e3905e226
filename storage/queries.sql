-- Every query of Bobbin, by its name (storage/queries.py tells the format).
-- Times are Unix milliseconds by the database's own clock; a message's ts is Slack's text and sorts by time.

-- now
-- The database's clock, so that several workers share one.
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now

-- now [postgres]
-- The server's, not the worker's.
SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now

-- handled
-- Whether this event was handled before: Slack delivers at least once.
SELECT 1 FROM inbox WHERE team_id = :team AND event_id = :event

-- note_event
-- Remember that it is handled now. No row: it was before.
INSERT INTO inbox(team_id, event_id, outcome, shape, received_at)
VALUES (:team, :event, :outcome, :shape, :now)
ON CONFLICT DO NOTHING RETURNING event_id

-- find_conversation
-- A thread that Bobbin has joined.
SELECT id, muted, last_ts FROM conversation
WHERE team_id = :team AND channel_id = :channel AND thread_ts = :thread

-- join
-- Make the conversation, or find it: the row that everything else of an ingest stands under.
INSERT INTO conversation(team_id, channel_id, thread_ts, direct, backfill, created_at)
VALUES (:team, :channel, :thread, :direct, :backfill, :now)
ON CONFLICT(team_id, channel_id, thread_ts) DO UPDATE SET direct = excluded.direct
RETURNING id

-- stir
-- Something was said; `pending` says that it waits for an answer.
UPDATE conversation SET
    last_ts = max(last_ts, :ts),
    asker_id = CASE WHEN :pending THEN :author ELSE asker_id END,
    pending_at = CASE WHEN :pending THEN coalesce(pending_at, :now) ELSE pending_at END
WHERE id = :conversation

-- stir [postgres]
-- max() of two values is greatest() there.
UPDATE conversation SET
    last_ts = greatest(last_ts, :ts),
    asker_id = CASE WHEN :pending = 1 THEN :author ELSE asker_id END,
    pending_at = CASE WHEN :pending = 1 THEN coalesce(pending_at, :now) ELSE pending_at END
WHERE id = :conversation

-- find_message
-- One Slack message, whichever event brings it: a mention comes as two.
SELECT m.id, m.conversation_id, m.role, m.user_id, m.text, m.files, m.addressed, m.summons, m.turn_id,
       m.edit_ts, m.deleted_at, t.state AS turn_state
FROM message m LEFT JOIN turn t ON t.id = m.turn_id
WHERE m.team_id = :team AND m.channel_id = :channel AND m.ts = :ts

-- is_tombstone
-- Deleted before it came.
SELECT 1 FROM tombstone WHERE team_id = :team AND channel_id = :channel AND ts = :ts

-- add_message
-- Keep a message once, whatever brings it a second time.
INSERT INTO message(conversation_id, team_id, channel_id, ts, role, user_id, text, files, addressed,
                    summons, external, turn_id, edit_ts, created_at)
VALUES (:conversation, :team, :channel, :ts, :role, :author, :text, :files, :addressed,
        :summons, :external, :turn, :edit_ts, :now)
ON CONFLICT(team_id, channel_id, ts) DO NOTHING

-- rewrite_message
-- An edit: the history follows.
UPDATE message SET text = :text, files = :files, edit_ts = :edit_ts WHERE id = :message

-- call_message
-- A mention was added to it: it leaves its old turn and waits like a new one.
UPDATE message SET addressed = 1, summons = 1, turn_id = NULL WHERE id = :message

-- summon
-- A mention was added while it is being answered.
UPDATE message SET summons = 1 WHERE id = :message

-- call_summons
-- A turn was silent, but somebody mentioned Bobbin meanwhile: no silence for them.
UPDATE message SET turn_id = NULL WHERE turn_id = :turn AND summons = 1 AND deleted_at IS NULL

-- blank_message
-- A deletion: the words go, the row stays so that the late original or an edit cannot bring them back.
UPDATE message SET text = '', files = '[]', deleted_at = coalesce(deleted_at, :now) WHERE id = :message

-- blank_answer
-- A person deleted Bobbin's answer: its words go from the history too.
UPDATE message SET text = '', deleted_at = coalesce(deleted_at, :now)
WHERE turn_id = :turn AND role = 'assistant' AND addressed = 1

-- bury
-- It was deleted before it came.
INSERT INTO tombstone(team_id, channel_id, ts, created_at) VALUES (:team, :channel, :ts, :now)
ON CONFLICT DO NOTHING

-- find_part
-- Which turn's answer a message of Bobbin shows. The error of a failed turn, and a notice, show none.
SELECT p.turn_id FROM reply_part p JOIN turn t ON t.id = p.turn_id
WHERE p.team_id = :team AND p.channel_id = :channel AND p.ts = :ts
    AND (p.kind = 'answer' OR p.kind = 'error' AND t.state <> 'failed')

-- count_addressed
-- What is left of a turn to answer.
SELECT count(*) AS count FROM message WHERE turn_id = :turn AND addressed = 1 AND role = 'user'
    AND deleted_at IS NULL

-- ask_stop
-- Its owner learns of it at once, or by its next heartbeat.
UPDATE turn SET stop_asked = coalesce(stop_asked, :why) WHERE id = :turn AND state = 'open' RETURNING id

-- open_turn_of
-- The turn that a conversation works on.
SELECT id, seq, claims, deaths, stop_asked, answer, stop_reason, request_id
FROM turn WHERE conversation_id = :conversation AND state = 'open'

-- set_muted
-- 🔕 or the word, on or off.
UPDATE conversation SET muted = :muted WHERE id = :conversation

-- settle_pending
-- Say anew whether the conversation has something to do; run where a message or a turn leaves the queue.
UPDATE conversation SET pending_at = coalesce(
    (SELECT min(started_at) FROM turn t WHERE t.conversation_id = conversation.id
        AND (t.state = 'open' OR t.retry_asked = 1)),
    (SELECT min(created_at) FROM message m WHERE m.conversation_id = conversation.id
        AND m.turn_id IS NULL AND m.addressed = 1 AND m.deleted_at IS NULL))
WHERE id = :conversation RETURNING pending_at

-- line_up
-- A place in the line when something begins to wait (or does again, once answered). A person's further
-- conversations stand there as if each were asked a minute after the one before: who asks fifty things at once
-- lets others go first, and is not starved by them.
UPDATE conversation SET place = coalesce(
    (SELECT max(c.place) + 60000 FROM conversation c
        WHERE c.team_id = conversation.team_id AND c.asker_id = coalesce(:asker, conversation.asker_id)
            AND c.pending_at IS NOT NULL AND c.place > :now - 60000),
    :now)
WHERE id = :conversation AND (pending_at IS NULL OR :again = 1)

-- claimable
-- What can be worked on now, in the order of fairness: a round of workspaces, in each its line. Only the heads
-- of the lines are read, however long they are. Of turns that killed their process twice one is tried at a time.
WITH RECURSIVE team(id) AS (
    SELECT min(team_id) FROM conversation WHERE pending_at IS NOT NULL
    UNION ALL SELECT (SELECT min(c.team_id) FROM conversation c
        WHERE c.pending_at IS NOT NULL AND c.team_id > team.id) FROM team WHERE team.id IS NOT NULL
), busy AS (
    SELECT team_id, count(*) AS running FROM conversation
    WHERE lease_owner IS NOT NULL AND lease_until > :now GROUP BY team_id
), risky AS (
    SELECT c.id, c.place, c.not_before, CASE WHEN c.lease_until > :now THEN 1 ELSE 0 END AS running
    FROM turn t JOIN conversation c ON c.id = t.conversation_id
    WHERE t.state = 'open' AND t.deaths > 0
        AND t.deaths + CASE WHEN c.lease_owner IS NOT NULL AND c.lease_until <= :now THEN 1 ELSE 0 END >= 2
), held_back AS (
    SELECT id FROM risky WHERE id NOT IN (
        SELECT id FROM (
            SELECT id FROM risky WHERE not_before <= :now ORDER BY running DESC, place, id LIMIT 1) AS tried)
), head AS (
    SELECT c.id, c.lease_owner, c.place, coalesce(b.running, 0)
        + row_number() OVER (PARTITION BY c.team_id ORDER BY c.place, c.id) AS team_round
    FROM team JOIN conversation c ON c.id IN (
        SELECT r.id FROM conversation r
        WHERE r.team_id = team.id AND r.pending_at IS NOT NULL AND r.lease_until <= :now AND r.not_before <= :now
            AND r.id NOT IN (SELECT id FROM held_back)
        ORDER BY r.place, r.id LIMIT :limit)
    LEFT JOIN busy b ON b.team_id = c.team_id
)
SELECT id, lease_owner FROM head ORDER BY team_round, place, id LIMIT :limit

-- lease
-- Take it; the new fence makes every write of an older owner fail.
UPDATE conversation SET lease_owner = :owner, lease_until = :until, fence = fence + 1
WHERE id = :conversation
RETURNING id, team_id, channel_id, thread_ts, direct, backfill, fence

-- resume_turn
-- Go on with the open turn. Its input stays as it was frozen.
UPDATE turn SET fence = :fence, claims = claims + 1, deaths = deaths + :died WHERE id = :turn
RETURNING deaths

-- wanted_again
-- The oldest failed turn that somebody wants tried again.
SELECT id, seq FROM turn WHERE conversation_id = :conversation AND state = 'failed' AND retry_asked = 1
ORDER BY seq LIMIT 1

-- reopen_turn
-- Try again: as if it were new, but for its input and the message that shows its error.
UPDATE turn SET state = 'open', fence = :fence, claims = claims + 1, deaths = 0, retry_asked = 0, answer = NULL,
    error = '', stop_reason = '', stop_asked = NULL, finished_at = NULL
WHERE id = :turn

-- drop_answer
-- What a failed turn had shown is written anew by the next try.
DELETE FROM message WHERE turn_id = :turn AND role = 'assistant' AND addressed = 1

-- waits
-- Whether anything waits to be answered.
SELECT count(*) AS count FROM message WHERE conversation_id = :conversation AND turn_id IS NULL
    AND addressed = 1 AND deleted_at IS NULL

-- open_turn
-- turn_one_open lets one be open at a time.
INSERT INTO turn(conversation_id, seq, state, fence, started_at)
SELECT :conversation, coalesce(max(seq), 0) + 1, 'open', :fence, :now
FROM turn WHERE conversation_id = :conversation
RETURNING id, seq

-- freeze_input
-- Everything said so far is read in this turn; what comes now waits for the next.
UPDATE message SET turn_id = :turn WHERE conversation_id = :conversation AND turn_id IS NULL

-- turn_input
-- Who asked what in a turn.
SELECT user_id, ts, edit_ts, addressed, summons, deleted_at FROM message
WHERE turn_id = :turn AND role = 'user' ORDER BY ts

-- turn_parts
-- What the turn's reply consists of.
SELECT ts, kind, part FROM reply_part WHERE turn_id = :turn ORDER BY part, ts

-- extend
-- Heartbeat, under the fence.
UPDATE conversation SET lease_until = :until WHERE id = :conversation AND fence = :fence
    AND lease_owner IS NOT NULL
RETURNING (SELECT stop_asked FROM turn WHERE id = :turn) AS stop_asked

-- hold
-- Lock the conversation under the fence; no row: somebody else owns it now.
UPDATE conversation SET lease_until = lease_until WHERE id = :conversation AND fence = :fence
    AND lease_owner IS NOT NULL RETURNING id

-- unlease
-- Give it back. Once: by then it may wait for something else.
UPDATE conversation SET lease_owner = NULL, lease_until = 0, not_before = :not_before
WHERE id = :conversation AND fence = :fence AND lease_owner IS NOT NULL RETURNING id

-- history
-- What the model reads for a turn: what was said before Bobbin came, then turn by turn, people first. An answer
-- that this turn already had (it is tried again) is left out.
SELECT m.role, m.ts, m.user_id, m.text, m.files, m.turn_id, m.addressed, m.external
FROM message m JOIN turn t ON t.id = m.turn_id
WHERE m.conversation_id = :conversation AND t.seq <= :seq AND m.deleted_at IS NULL
    AND NOT (m.turn_id = :turn AND m.role = 'assistant')
ORDER BY t.seq, CASE WHEN t.seq > 0 AND m.role = 'assistant' THEN 1 ELSE 0 END, m.ts

-- before_turn
-- The turn that stands for what was said before Bobbin came.
INSERT INTO turn(conversation_id, seq, state, fence, started_at, finished_at)
VALUES (:conversation, 0, 'answered', 0, :now, :now)
ON CONFLICT(conversation_id, seq) DO UPDATE SET finished_at = excluded.finished_at
RETURNING id

-- filled
-- The thread was read.
UPDATE conversation SET backfill = 0 WHERE id = :conversation

-- record_part
-- A Slack message was made. Recording it twice is harmless.
INSERT INTO reply_part(team_id, channel_id, ts, turn_id, part, kind)
VALUES (:team, :channel, :ts, :turn, :part, :kind)
ON CONFLICT(team_id, channel_id, ts) DO UPDATE SET kind = excluded.kind, part = excluded.part

-- record_orphan
-- To be deleted once the turn is closed.
INSERT INTO orphan(team_id, channel_id, ts, turn_id) VALUES (:team, :channel, :ts, :turn)
ON CONFLICT DO NOTHING

-- drop_part
-- It shows nothing any more.
DELETE FROM reply_part WHERE team_id = :team AND channel_id = :channel AND ts = :ts

-- record_answer
-- The whole answer, before the last Slack write.
UPDATE turn SET answer = :answer, stop_reason = :reason, request_id = :request,
    input_tokens = input_tokens + :input, output_tokens = output_tokens + :output,
    cache_read_tokens = cache_read_tokens + :cache_read, cache_write_tokens = cache_write_tokens + :cache_write
WHERE id = :turn

-- close_turn
-- Its answer lives on as a message.
UPDATE turn SET state = :state, answer = NULL, error = :error,
    stop_reason = CASE WHEN :reason = '' THEN stop_reason ELSE :reason END, finished_at = :now,
    retry_asked = CASE WHEN :state = 'failed' THEN retry_asked ELSE 0 END
WHERE id = :turn AND state = 'open' RETURNING id

-- add_answer
-- One answer a turn; it takes the place of an earlier one.
INSERT INTO message(conversation_id, team_id, channel_id, ts, role, user_id, text, addressed, turn_id, created_at)
VALUES (:conversation, :team, :channel, :ts, 'assistant', '', :text, 1, :turn, :now)
ON CONFLICT(team_id, channel_id, ts) DO UPDATE SET text = excluded.text, deleted_at = NULL

-- first_part
-- Where the answer stands.
SELECT ts FROM reply_part WHERE turn_id = :turn AND kind <> 'notice' ORDER BY part, ts LIMIT 1

-- was_deleted
-- A person deleted the reply while it was being written: its words are not kept.
SELECT 1 FROM tombstone t JOIN reply_part p ON p.team_id = t.team_id AND p.channel_id = t.channel_id AND p.ts = t.ts
WHERE p.turn_id = :turn

-- ask_retry
-- Somebody pressed Try again; the button is there a moment before its turn is closed.
UPDATE turn SET retry_asked = 1 WHERE id = :turn AND state IN ('open', 'failed') RETURNING conversation_id, state

-- dismiss
-- These words are history: their author may not ask.
UPDATE message SET addressed = 0 WHERE turn_id = :turn AND user_id = :author AND role = 'user'

-- accounted
-- Every message that Bobbin is known to have made in a thread, orphans too.
SELECT p.ts FROM reply_part p JOIN turn t ON t.id = p.turn_id WHERE t.conversation_id = :conversation
UNION SELECT o.ts FROM orphan o WHERE o.team_id = :team AND o.channel_id = :channel
UNION SELECT m.ts FROM message m WHERE m.conversation_id = :conversation AND m.role = 'assistant'

-- orphans
-- Those whose turn is closed (or gone).
SELECT o.team_id, o.channel_id, o.ts FROM orphan o LEFT JOIN turn t ON t.id = o.turn_id
WHERE t.state IS NULL OR t.state <> 'open' LIMIT 100

-- forget_orphan
-- It was deleted in Slack.
DELETE FROM orphan WHERE team_id = :team AND channel_id = :channel AND ts = :ts

-- find_person
-- Who somebody is, as far as it was learned.
SELECT user_id, name, guest, external FROM person WHERE team_id = :team AND user_id = :user

-- learn
-- A name once shown to the model stays, so that the prefix of a thread does; the rest is kept current.
INSERT INTO person(team_id, user_id, name, guest, external, learned_at)
VALUES (:team, :user, :name, :guest, :external, :now)
ON CONFLICT(team_id, user_id) DO UPDATE SET guest = excluded.guest, external = excluded.external,
    learned_at = excluded.learned_at

-- note_due
-- Take the right to give a note; no row: it was given already.
INSERT INTO note(team_id, user_id, reason, given_at) VALUES (:team, :user, :reason, :now)
ON CONFLICT(team_id, user_id, reason) DO UPDATE SET given_at = excluded.given_at
    WHERE note.given_at <= :before
RETURNING user_id

-- end_leases
-- At the start of the only process every owner is dead. The settle time lets their last calls arrive.
UPDATE conversation SET lease_until = 0, fence = fence + 1, not_before = :not_before
WHERE lease_owner IS NOT NULL RETURNING id

-- unnoticed
-- Conversations with something waiting and no mark of it: there must be none.
SELECT DISTINCT c.id FROM conversation c JOIN message m ON m.conversation_id = c.id
WHERE c.pending_at IS NULL AND m.turn_id IS NULL AND m.addressed = 1 AND m.deleted_at IS NULL

-- purge_inbox
-- Slack redelivers for minutes, delayed events for a day.
DELETE FROM inbox WHERE received_at < :before

-- purge_tombstones
-- Likewise.
DELETE FROM tombstone WHERE created_at < :before

-- next_due
-- When the earliest conversation that cannot be claimed yet can be: a lease ends, or a delay. Both are only set
-- where a turn is open.
SELECT min(due) AS due FROM (
    SELECT min(lease_until) AS due FROM conversation WHERE lease_owner IS NOT NULL AND lease_until > :now
    UNION ALL
    SELECT min(not_before) FROM conversation WHERE not_before > 0 AND not_before > :now) AS dues

-- heard
-- Events can come in now. After a longer break the answer is where it began, until `caught_up`.
INSERT INTO heard(team_id, heard_at) VALUES (:team, :now)
ON CONFLICT(team_id) DO UPDATE SET heard_at = excluded.heard_at,
    missed_since = CASE WHEN heard.missed_since IS NULL AND heard.heard_at < :before THEN heard.heard_at
        ELSE heard.missed_since END
RETURNING missed_since

-- caught_up
-- What was said in the break was read.
UPDATE heard SET missed_since = NULL WHERE team_id = :team

-- lively
-- The threads in which something may have been said since, the newest first; in a DM that is any.
SELECT channel_id, thread_ts FROM conversation
WHERE team_id = :team AND (last_ts > :after OR direct = 1) ORDER BY last_ts DESC LIMIT :limit
