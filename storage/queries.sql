-- Every query of Bobbin, by its name (storage/queries.py tells the format).
-- Times are Unix milliseconds by the database's own clock; a message's ts is Slack's text and sorts by time.

-- now
-- The database's clock, so that several workers share one.
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now

-- now [postgres]
-- The server's, not the worker's.
SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now

-- hold_message
-- One event at a time about one Slack message; and none of its channel while a thread of it is read in
-- (hold_channel). Like every `hold_…`, it is for several workers at once: connector.py tells the order.
SELECT 1 WHERE 1 = 0

-- hold_message [postgres]
-- Keys are hashed; should two be equal by chance, one waits for the other, and nothing else.
SELECT pg_advisory_xact_lock_shared(hashtextextended(concat(CAST(:team AS text), ' ', CAST(:channel AS text)), 1)),
    pg_advisory_xact_lock(
        hashtextextended(concat(CAST(:team AS text), ' ', CAST(:channel AS text), ' ', CAST(:ts AS text)), 2))

-- hold_channel
-- Nothing that is said in it changes while a thread of it is read in.
SELECT 1 WHERE 1 = 0

-- hold_channel [postgres]
-- The other side of hold_message.
SELECT pg_advisory_xact_lock(hashtextextended(concat(CAST(:team AS text), ' ', CAST(:channel AS text)), 1))

-- hold_thread
-- The conversation of a thread, and that of a message (said there, or shown as an answer), if there are any.
SELECT 1 WHERE 1 = 0

-- hold_thread [postgres]
-- As any update of the row would lock it.
SELECT id FROM conversation WHERE id IN (
    SELECT id FROM conversation WHERE team_id = :team AND channel_id = :channel AND thread_ts = :thread
    UNION SELECT conversation_id FROM message WHERE team_id = :team AND channel_id = :channel AND ts = :ts
    UNION SELECT t.conversation_id FROM reply_part p JOIN turn t ON t.id = p.turn_id
        WHERE p.team_id = :team AND p.channel_id = :channel AND p.ts = :ts)
ORDER BY id FOR NO KEY UPDATE

-- hold_conversation
-- One that is known.
SELECT 1 WHERE 1 = 0

-- hold_conversation [postgres]
-- Likewise.
SELECT id FROM conversation WHERE id = :conversation FOR NO KEY UPDATE

-- hold_turn
-- The conversation of a turn.
SELECT 1 WHERE 1 = 0

-- hold_turn [postgres]
-- The row that its worker holds by its fence.
SELECT id FROM conversation WHERE id = (SELECT conversation_id FROM turn WHERE id = :turn) FOR NO KEY UPDATE

-- hold_quoting
-- The conversations that have taken something from this message.
SELECT 1 WHERE 1 = 0

-- hold_quoting [postgres]
-- Their summaries may be made of it just now.
SELECT o.id FROM conversation o WHERE o.team_id = :team AND o.about_channel = :channel AND EXISTS (
    SELECT 1 FROM message m WHERE m.conversation_id = o.id AND m.ts > :ts AND m.ts < :end)
ORDER BY o.id FOR NO KEY UPDATE

-- unsynced
-- Where this stands in a transaction, its commit does not wait for the disk.
SELECT 1 WHERE 1 = 0

-- unsynced [postgres]
-- Likewise; until its end.
SET LOCAL synchronous_commit = off

-- hold_claims
-- The line is one for all, and of the risky turns one is tried at a time.
SELECT 1 WHERE 1 = 0

-- hold_claims [postgres]
-- Any number will do that no hash is likely to be.
SELECT pg_advisory_xact_lock(1)

-- hold_budget
-- Two at once must not both take what is left of it.
SELECT 1 WHERE 1 = 0

-- hold_budget [postgres]
-- Of a whole workspace, for a person's counts against it as well.
SELECT pg_advisory_xact_lock(hashtextextended(CAST(:team AS text), 3))

-- hold_line
-- Two conversations of one person must not take the same place in the line.
SELECT 1 WHERE 1 = 0

-- hold_line [postgres]
-- Where `line_up` gives none, there is nothing to hold.
SELECT pg_advisory_xact_lock(
    hashtextextended(concat(team_id, ' ', coalesce(CAST(:asker AS text), asker_id)), 4))
FROM conversation WHERE id = :conversation AND (pending_at IS NULL OR CAST(:again AS integer) = 1)

-- tell
-- Tell the other workers that there is something to look at.
SELECT 1 WHERE 1 = 0

-- tell [postgres]
-- Several in one transaction are one; it goes out with the commit.
SELECT pg_notify('bobbin', '')

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
INSERT INTO conversation(team_id, channel_id, thread_ts, direct, backfill, about_channel, about_thread, created_at)
VALUES (:team, :channel, :thread, :direct, :backfill, :about_channel, :about_thread, :now)
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
                    summons, external, bot, turn_id, edit_ts, event_id, reason, created_at)
VALUES (:conversation, :team, :channel, :ts, :role, :author, :text, :files, :addressed,
        :summons, :external, :bot, :turn, :edit_ts, :event, :reason, :now)
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
WHERE turn_id = :turn AND role = 'assistant' AND addressed = 1 RETURNING id

-- being_read
-- Whether a thread of this channel was asked for and is not read from Slack yet.
SELECT id FROM conversation
WHERE team_id = :team AND (channel_id = :channel OR about_channel = :channel) AND backfill = 1
    AND pending_at IS NOT NULL LIMIT 1

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

-- asked_to_end
-- Open turns that must end or begin anew, and why: whoever works on one looks here. And those that were open when
-- their thread was forgotten.
SELECT id, coalesce(stop_asked, 'edited') AS why FROM turn
WHERE state = 'open' AND (stop_asked IS NOT NULL OR anew = 1)
UNION ALL SELECT id, stop_asked FROM turn WHERE stop_asked = 'forgotten'

-- open_turn_of
-- The turn that a conversation works on.
SELECT id FROM turn WHERE conversation_id = :conversation AND state = 'open'

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
-- of the lines are read, however long they are. `team`: of one workspace alone, else of all. Of turns that killed their process twice one is tried at a time.
WITH RECURSIVE team(id) AS (
    SELECT min(team_id) FROM conversation WHERE pending_at IS NOT NULL
    UNION ALL SELECT (SELECT min(c.team_id) FROM conversation c
        WHERE c.pending_at IS NOT NULL AND c.team_id > team.id) FROM team WHERE team.id IS NOT NULL
), served(id) AS (
    SELECT id FROM team WHERE :team IN ('', id)
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
    FROM served JOIN conversation c ON c.id IN (
        SELECT r.id FROM conversation r
        WHERE r.team_id = served.id AND r.pending_at IS NOT NULL AND r.lease_until <= :now AND r.not_before <= :now
            AND r.id NOT IN (SELECT id FROM held_back)
        ORDER BY r.place, r.id LIMIT :limit)
    LEFT JOIN busy b ON b.team_id = c.team_id
)
SELECT id, lease_owner FROM head ORDER BY team_round, place, id LIMIT :limit

-- claimable [postgres]
-- The same. Whatever somebody holds just now is left out: it is looked at again when they are done. Some more
-- than wanted are taken of each line, so that this costs nobody a slot.
WITH RECURSIVE team(id) AS (
    (SELECT team_id FROM conversation WHERE pending_at IS NOT NULL ORDER BY team_id LIMIT 1)
    UNION ALL SELECT (SELECT c.team_id FROM conversation c WHERE c.pending_at IS NOT NULL AND c.team_id > team.id
        ORDER BY c.team_id LIMIT 1) FROM team WHERE team.id IS NOT NULL
), served(id) AS (
    SELECT id FROM team WHERE CAST(:team AS text) IN ('', id)
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
    SELECT c.id, c.place, coalesce(b.running, 0)
        + row_number() OVER (PARTITION BY served.id ORDER BY c.place, c.id) AS team_round
    FROM served CROSS JOIN LATERAL (
        SELECT r.id, r.place FROM conversation r
        WHERE r.team_id = served.id AND r.pending_at IS NOT NULL AND r.lease_until <= :now AND r.not_before <= :now
            AND r.id NOT IN (SELECT id FROM held_back)
        ORDER BY r.place, r.id LIMIT :limit + 16) AS c
    LEFT JOIN busy b ON b.team_id = served.id
)
SELECT c.id, c.lease_owner FROM head JOIN conversation c ON c.id = head.id
WHERE c.pending_at IS NOT NULL AND c.lease_until <= :now AND c.not_before <= :now
ORDER BY head.team_round, head.place, head.id LIMIT :limit FOR NO KEY UPDATE OF c SKIP LOCKED

-- passed_by
-- Whether there is something to claim, though nothing was claimed: then somebody held it just now.
SELECT 1 WHERE 1 = 0

-- passed_by [postgres]
-- But for what has killed a process before: it may have to wait for another one.
SELECT 1 FROM conversation c WHERE c.pending_at IS NOT NULL AND c.lease_until <= :now AND c.not_before <= :now
    AND CAST(:team AS text) IN ('', c.team_id) AND NOT EXISTS (SELECT 1 FROM turn t WHERE t.conversation_id = c.id AND t.state = 'open'
        AND (t.deaths > 0 OR c.lease_owner IS NOT NULL))
LIMIT 1

-- pause
-- Until they are done: an arrival takes some milliseconds.
SELECT 1 WHERE 1 = 0

-- pause [postgres]
-- A hundredth of a second.
SELECT pg_sleep(0.01)

-- in_line
-- Who waits for a slot: what `claimable` would choose from. A conversation may be told so where it was called.
SELECT c.id, c.team_id, c.channel_id, c.thread_ts,
    row_number() OVER (PARTITION BY c.team_id ORDER BY c.place, c.id) - 1 AS ahead,
    CASE WHEN c.direct = 1 OR EXISTS (SELECT 1 FROM message m WHERE m.conversation_id = c.id
        AND m.turn_id IS NULL AND m.summons = 1 AND m.deleted_at IS NULL) THEN 1 ELSE 0 END AS summoned
FROM conversation c
WHERE c.pending_at IS NOT NULL AND c.lease_until <= :now AND c.not_before <= :now
    AND CAST(:team AS text) IN ('', c.team_id)
ORDER BY ahead, c.team_id LIMIT 1000

-- wants_nothing
-- Whether what a conversation waited for is gone.
SELECT id FROM conversation WHERE id = :conversation AND pending_at IS NULL

-- lease
-- Take it; the new fence makes every write of an older owner fail.
UPDATE conversation SET lease_owner = :owner, lease_until = :until, fence = fence + 1
WHERE id = :conversation
RETURNING id, team_id, channel_id, thread_ts, direct, backfill, about_channel, about_thread, fence

-- resume_turn
-- Go on with the open turn. Its input stays as it was frozen; an answer to what was changed since is none.
UPDATE turn SET fence = :fence, claims = claims + 1, deaths = deaths + :died,
    answer = CASE WHEN anew = 1 THEN NULL ELSE answer END, anew = 0
WHERE id = :turn RETURNING id, seq, deaths, stop_asked, answer, stop_reason

-- begin_anew
-- The same, where its owner lives.
UPDATE turn SET answer = NULL, stop_reason = '', anew = 0 WHERE id = :turn
RETURNING id, seq, deaths, stop_asked, answer, stop_reason

-- ask_anew
-- The question was changed while it is being answered. Its owner learns of it at once, or by its next heartbeat.
UPDATE turn SET anew = 1 WHERE id = :turn AND state = 'open' AND stop_asked IS NULL RETURNING id

-- wanted_again
-- The oldest closed turn that somebody wants tried, or answered, again.
SELECT id, seq, state FROM turn WHERE conversation_id = :conversation AND state <> 'open' AND retry_asked = 1
ORDER BY seq LIMIT 1

-- reopen_turn
-- As if it were new, but for its input and the messages that show its answer or error. Somebody wanted it, which
-- a crash does not: its budget must admit it anew.
UPDATE turn SET state = 'open', fence = :fence, claims = claims + 1, deaths = 0, retry_asked = 0, answer = NULL,
    error = '', stop_reason = '', stop_asked = NULL, finished_at = NULL, reopened_at = :now
WHERE id = :turn

-- keep_version
-- An answer is written anew: what it was is kept.
INSERT INTO answer_version(turn_id, version, text, kept_at)
SELECT t.id, 1 + (SELECT count(*) FROM answer_version v WHERE v.turn_id = t.id), m.text, :now
FROM turn t JOIN message m ON m.turn_id = t.id
WHERE t.id = :turn AND m.role = 'assistant' AND m.addressed = 1 AND m.deleted_at IS NULL

-- newest_version
-- What a turn had answered before.
SELECT text FROM answer_version WHERE turn_id = :turn ORDER BY version DESC LIMIT 1

-- take_version
-- It holds again.
DELETE FROM answer_version WHERE turn_id = :turn
    AND version = (SELECT max(version) FROM answer_version WHERE turn_id = :turn)
RETURNING text

-- drop_versions
-- A person deleted the answer: its earlier words go too.
DELETE FROM answer_version WHERE turn_id = :turn

-- drop_answer
-- What a turn had shown is written anew by the next try.
DELETE FROM message WHERE turn_id = :turn AND role = 'assistant' AND addressed = 1

-- drop_attachments
-- What was attached to it goes, once the next answer stands.
DELETE FROM reply_part WHERE turn_id = :turn AND kind = 'notice' RETURNING team_id, channel_id, ts

-- turn_shown
-- Which turn a message of Bobbin belongs to.
SELECT turn_id FROM reply_part WHERE team_id = :team AND channel_id = :channel AND ts = :ts

-- again_of
-- Whether a turn may be answered again: its state, whether it has an answer, whether this person asked, whether
-- its answer is the newest of its thread.
SELECT t.state, t.conversation_id, t.finished_at,
    EXISTS(SELECT 1 FROM message m WHERE m.turn_id = t.id AND m.role = 'assistant' AND m.addressed = 1
        AND m.deleted_at IS NULL) AS answered,
    EXISTS(SELECT 1 FROM message m WHERE m.turn_id = t.id AND m.role = 'user' AND m.addressed = 1
        AND m.deleted_at IS NULL AND m.user_id = :user) AS asked,
    NOT EXISTS(SELECT 1 FROM turn n WHERE n.conversation_id = t.conversation_id AND n.seq > t.seq
        AND n.state IN ('open', 'answered', 'failed')) AS newest
FROM turn t WHERE t.id = :turn

-- ask_again
-- Somebody wants it answered again.
UPDATE turn SET retry_asked = 1 WHERE id = :turn AND state = 'answered' RETURNING conversation_id

-- rate
-- What somebody thinks of an answer; another judgement takes the place of the one before, and of its reason.
INSERT INTO feedback(turn_id, user_id, good, version, given_at)
SELECT t.id, :user, :good, 1 + (SELECT count(*) FROM answer_version v WHERE v.turn_id = t.id), :now
FROM turn t WHERE t.id = :turn
ON CONFLICT(turn_id, user_id) DO UPDATE SET good = excluded.good, why = '', version = excluded.version,
    given_at = excluded.given_at
RETURNING turn_id

-- explain
-- And why.
UPDATE feedback SET why = :why WHERE turn_id = :turn AND user_id = :user RETURNING turn_id

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

-- not_called_yet
-- A conversation whose earlier messages are still to be read, if it was called by nobody before this ts.
SELECT id FROM conversation c WHERE id = :conversation AND backfill = 1
    AND NOT EXISTS (SELECT 1 FROM message m WHERE m.conversation_id = c.id AND m.summons = 1 AND m.ts < :ts)

-- turn_input
-- Who asked what in a turn.
SELECT user_id, ts, edit_ts, addressed, summons, deleted_at, created_at FROM message
WHERE turn_id = :turn AND role = 'user' ORDER BY ts

-- turn_parts
-- What the turn's reply consists of.
SELECT ts, kind, part FROM reply_part WHERE turn_id = :turn ORDER BY part, ts

-- extend
-- Heartbeat, under the fence.
UPDATE conversation SET lease_until = :until WHERE id = :conversation AND fence = :fence
    AND lease_owner IS NOT NULL
RETURNING (SELECT coalesce(stop_asked, CASE WHEN anew = 1 THEN 'edited' END) FROM turn WHERE id = :turn)
    AS stop_asked

-- conversation
-- The same row as it is.
SELECT id, team_id, channel_id, thread_ts, direct, backfill, about_channel, about_thread, fence
FROM conversation WHERE id = :conversation

-- hold
-- Lock the conversation under the fence; no row: somebody else owns it now.
UPDATE conversation SET lease_until = lease_until WHERE id = :conversation AND fence = :fence
    AND lease_owner IS NOT NULL RETURNING id

-- hold [postgres]
-- An update would write the row for nothing.
SELECT id FROM conversation WHERE id = :conversation AND fence = :fence AND lease_owner IS NOT NULL
FOR NO KEY UPDATE

-- unlease
-- Give it back. Once: by then it may wait for something else.
UPDATE conversation SET lease_owner = NULL, lease_until = 0, not_before = :not_before
WHERE id = :conversation AND fence = :fence AND lease_owner IS NOT NULL RETURNING id

-- history
-- What the model reads for a turn, but what a summary stands for: what was said before Bobbin came, then turn by
-- turn, people first. An answer that this turn already had (it is tried again) is left out. Turns come first (that
-- is what CROSS JOIN says to SQLite): of a long thread only the rest is looked at.
SELECT m.role, m.ts, m.user_id, m.text, m.files, m.turn_id, m.addressed, m.external, m.bot, t.seq
FROM turn t CROSS JOIN message m
WHERE t.conversation_id = :conversation AND t.seq >= :after AND t.seq <= :seq AND m.turn_id = t.id
    AND (t.seq > :after OR m.ts > :after_ts) AND m.deleted_at IS NULL
    AND NOT (m.turn_id = :turn AND m.role = 'assistant')
ORDER BY t.seq, CASE WHEN t.seq > 0 AND m.role = 'assistant' THEN 1 ELSE 0 END, m.ts

-- find_summary
-- What stands for the oldest part of a thread, unless it reaches into what a turn that is tried again must read.
-- Its first turn is the first with an answer, below which that can be said.
SELECT text, until_seq, until_ts, authors, turn_id, coalesce((
    SELECT t.id FROM turn t WHERE t.conversation_id = :conversation AND t.state = 'answered'
        AND t.stop_reason NOT IN ('stopped', 'deleted')
        AND t.seq >= (SELECT f.seq FROM turn f WHERE f.id = summary.first_turn)
    ORDER BY t.seq LIMIT 1), :turn) AS first_turn
FROM summary
WHERE conversation_id = :conversation AND (until_seq < :seq OR turn_id = :turn)

-- newest_size
-- The newest request of a thread that was counted, of those made since it was last condensed.
SELECT seq, size FROM turn
WHERE conversation_id = :conversation AND seq < :seq AND size > 0 AND id >= :made_in ORDER BY seq DESC LIMIT 1

-- keep_summary
-- In the place of the one before. Its first turn stays: a thread is told once that it is condensed (find_summary).
INSERT INTO summary(conversation_id, text, until_seq, until_ts, authors, first_turn, turn_id)
VALUES (:conversation, :text, :until_seq, :until_ts, :authors, :turn, :turn)
ON CONFLICT(conversation_id) DO UPDATE SET text = excluded.text, until_seq = excluded.until_seq,
    until_ts = excluded.until_ts, authors = excluded.authors, turn_id = excluded.turn_id

-- spoil_summary
-- Words that it was made of are changed or gone, so its own go too: it is made anew when it is needed.
UPDATE summary SET text = NULL WHERE conversation_id = (SELECT conversation_id FROM message WHERE id = :message)
    AND EXISTS (SELECT 1 FROM message m JOIN turn t ON t.id = m.turn_id WHERE m.id = :message
        AND (t.seq < summary.until_seq OR t.seq = summary.until_seq AND m.ts <= summary.until_ts))

-- before_turn
-- The turn that stands for what was said before Bobbin came.
INSERT INTO turn(conversation_id, seq, state, fence, started_at, finished_at)
VALUES (:conversation, 0, 'answered', 0, :now, :now)
ON CONFLICT(conversation_id, seq) DO UPDATE SET finished_at = excluded.finished_at
RETURNING id

-- filled
-- The thread was read.
UPDATE conversation SET backfill = 0 WHERE id = :conversation

-- add_step
-- What happened in a turn, for whoever asks why; written with whatever else is.
INSERT INTO step(turn_id, at, what, detail) VALUES (:turn, :at, :what, :detail)

-- record_part
-- A Slack message was made. Recording it twice is harmless.
INSERT INTO reply_part(team_id, channel_id, ts, turn_id, part, kind)
VALUES (:team, :channel, :ts, :turn, :part, :kind)
ON CONFLICT(team_id, channel_id, ts) DO UPDATE SET kind = excluded.kind, part = excluded.part

-- record_orphan
-- To be deleted once the turn is closed; but for what its new owner has found in the thread and made its own.
INSERT INTO orphan(team_id, channel_id, ts, turn_id)
SELECT :team, :channel, :ts, :turn WHERE NOT EXISTS (
    SELECT 1 FROM reply_part WHERE team_id = :team AND channel_id = :channel AND ts = :ts)
ON CONFLICT DO NOTHING

-- drop_part
-- It shows nothing any more.
DELETE FROM reply_part WHERE team_id = :team AND channel_id = :channel AND ts = :ts

-- record_answer
-- The whole answer, before the last Slack write.
UPDATE turn SET answer = :answer, stop_reason = :reason, request_id = :request, size = :size,
    input_tokens = input_tokens + :input, output_tokens = output_tokens + :output,
    cache_read_tokens = cache_read_tokens + :cache_read, cache_write_tokens = cache_write_tokens + :cache_write
WHERE id = :turn

-- close_turn
-- Its answer lives on as a message.
UPDATE turn SET state = :state, answer = NULL, error = :error,
    stop_reason = CASE WHEN :reason = '' THEN stop_reason ELSE :reason END, finished_at = :now,
    retry_asked = CASE WHEN :state = 'failed' THEN max(retry_asked, anew)
        WHEN :state = 'cancelled' OR stop_asked IS NOT NULL THEN 0 ELSE anew END,
    anew = 0
WHERE id = :turn AND state = 'open' RETURNING id

-- close_turn [postgres]
-- max() of two values is greatest() there.
UPDATE turn SET state = :state, answer = NULL, error = :error,
    stop_reason = CASE WHEN :reason = '' THEN stop_reason ELSE :reason END, finished_at = :now,
    retry_asked = CASE WHEN :state = 'failed' THEN greatest(retry_asked, anew)
        WHEN :state = 'cancelled' OR stop_asked IS NOT NULL THEN 0 ELSE anew END,
    anew = 0
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
WHERE p.turn_id = :turn AND p.kind <> 'notice'

-- ask_retry
-- Somebody pressed Try again; the button is there a moment before its turn is closed.
UPDATE turn SET retry_asked = 1 WHERE id = :turn AND state IN ('open', 'failed') RETURNING conversation_id, state

-- dismiss
-- These words are history: their author may not ask.
UPDATE message SET addressed = 0, reason = :reason WHERE turn_id = :turn AND user_id = :author AND role = 'user'

-- accounted
-- Every message that Bobbin is known to have made in a thread, orphans too.
SELECT p.ts FROM reply_part p JOIN turn t ON t.id = p.turn_id WHERE t.conversation_id = :conversation
UNION SELECT o.ts FROM orphan o WHERE o.team_id = :team AND o.channel_id = :channel
UNION SELECT m.ts FROM message m WHERE m.conversation_id = :conversation AND m.role = 'assistant'

-- orphans
-- Those whose turn is closed (or gone); of one turn, or of all; of one workspace, or of all.
SELECT o.team_id, o.channel_id, o.ts FROM orphan o LEFT JOIN turn t ON t.id = o.turn_id
WHERE (t.state IS NULL OR t.state <> 'open') AND (:turn = 0 OR o.turn_id = :turn)
    AND CAST(:team AS text) IN ('', o.team_id) LIMIT 100

-- forget_orphan
-- It was deleted in Slack.
DELETE FROM orphan WHERE team_id = :team AND channel_id = :channel AND ts = :ts

-- find_person
-- Who somebody is, as far as it was learned.
SELECT user_id, name, guest, external, admin FROM person WHERE team_id = :team AND user_id = :user

-- learn
-- A name once shown to the model stays, so that the prefix of a thread does; the rest is kept current.
INSERT INTO person(team_id, user_id, name, guest, external, admin, learned_at)
VALUES (:team, :user, :name, :guest, :external, :admin, :now)
ON CONFLICT(team_id, user_id) DO UPDATE SET guest = excluded.guest, external = excluded.external,
    admin = excluded.admin, learned_at = excluded.learned_at

-- admins
-- Whom to tell what concerns the whole workspace.
SELECT user_id FROM person WHERE team_id = :team AND admin = 1 ORDER BY user_id

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

-- bring_back
-- No turn is put off for so long: the clock stepped back since.
UPDATE conversation SET not_before = :latest WHERE not_before > :latest

-- unnoticed
-- Conversations with something waiting and no mark of it: there must be none.
SELECT DISTINCT c.id FROM conversation c JOIN message m ON m.conversation_id = c.id
WHERE c.pending_at IS NULL AND m.turn_id IS NULL AND m.addressed = 1 AND m.deleted_at IS NULL
ORDER BY c.id

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
        ELSE heard.missed_since END,
    gaps = heard.gaps + (heard.heard_at < :before)
RETURNING missed_since, gaps

-- heard [postgres]
-- A truth is no number there.
INSERT INTO heard(team_id, heard_at) VALUES (:team, :now)
ON CONFLICT(team_id) DO UPDATE SET heard_at = excluded.heard_at,
    missed_since = CASE WHEN heard.missed_since IS NULL AND heard.heard_at < :before THEN heard.heard_at
        ELSE heard.missed_since END,
    gaps = heard.gaps + CASE WHEN heard.heard_at < :before THEN 1 ELSE 0 END
RETURNING missed_since, gaps

-- take_gap
-- One worker reads what was said in it; should it end before it has, another one.
UPDATE heard SET reader = :worker WHERE team_id = :team AND (reader IN ('', :worker)
    OR reader NOT IN (SELECT id FROM worker WHERE seen_at > :since)) RETURNING team_id

-- leave_gap
-- It could not read all of it: whoever looks next may try.
UPDATE heard SET reader = '' WHERE team_id = :team AND reader = :worker

-- caught_up
-- What was said in the break was read.
UPDATE heard SET missed_since = NULL, reader = '' WHERE team_id = :team AND gaps = :gaps

-- channels
-- Where Bobbin is used, the newest first.
SELECT channel_id FROM conversation WHERE team_id = :team
GROUP BY channel_id ORDER BY max(last_ts) DESC LIMIT :limit

-- lively
-- The threads in which something may have been said since, the newest first; in a DM that is any.
SELECT channel_id, thread_ts FROM conversation
WHERE team_id = :team AND (last_ts > :after OR direct = 1) ORDER BY last_ts DESC LIMIT :limit

-- begin_call
-- Before the request goes out. What it may cost is reserved by the same row.
INSERT INTO call(id, turn_id, team_id, channel_id, user_id, model, purpose, state, estimated, started_at,
                 input, cache_read, cache_write, cache_write_1h, output, micro_usd)
VALUES (:id, :turn, :team, :channel, :user, :model, :purpose, 'running', 1, :now,
        :input, :cache_read, :cache_write, :cache_write_1h, :output, :micro_usd)

-- settle_call
-- What it came to. Also of one that was taken for lost: its owner knows better.
UPDATE call SET state = :state, estimated = :estimated, finished_at = :now, input = :input, output = :output,
    cache_read = :cache_read, cache_write = :cache_write, cache_write_1h = :cache_write_1h,
    micro_usd = :micro_usd, request_id = :request, first_at = :first, error = :error
WHERE id = :id

-- lose_calls
-- Their process died: what was reserved for them is all that is known.
UPDATE call SET state = 'lost', finished_at = :now WHERE state = 'running' AND started_at <= :before

-- has_called
-- Whether the model was asked in this turn before, or since it was wanted again: then it was admitted.
SELECT id FROM call WHERE turn_id = :turn
    AND started_at >= coalesce((SELECT reopened_at FROM turn WHERE id = :turn), 0) LIMIT 1

-- spent_by_user
-- By one person since then, with what is reserved for running calls.
SELECT coalesce(sum(micro_usd), 0) AS used FROM call
WHERE team_id = :team AND user_id = :user AND started_at >= :since

-- spent_by_team
-- The same of a whole workspace: on the days that are closed, and in the calls since.
WITH closed AS (SELECT coalesce(max(day) + 86400000, 0) AS until FROM spent_day WHERE team_id = :team)
SELECT coalesce((SELECT sum(micro_usd) FROM spent_day WHERE team_id = :team AND day >= :since), 0)
    + coalesce((SELECT sum(micro_usd) FROM call WHERE team_id = :team AND started_at >=
        (SELECT CASE WHEN until > :since THEN until ELSE :since END FROM closed)), 0) AS used

-- spenders
-- The workspaces with calls.
WITH RECURSIVE team(id) AS (
    SELECT min(team_id) FROM call
    UNION ALL SELECT (SELECT min(c.team_id) FROM call c WHERE c.team_id > team.id) FROM team
        WHERE team.id IS NOT NULL
)
SELECT id FROM team WHERE id IS NOT NULL

-- close_days
-- Of one workspace, those of the month that are over and not closed yet.
INSERT INTO spent_day(team_id, day, micro_usd)
SELECT team_id, started_at - started_at % 86400000 AS began, sum(micro_usd) FROM call
WHERE team_id = :team AND started_at < :before AND started_at >= (
    SELECT CASE WHEN coalesce(max(day), 0) + 86400000 > :since THEN max(day) + 86400000 ELSE :since END
    FROM spent_day WHERE team_id = :team)
GROUP BY team_id, began
ON CONFLICT(team_id, day) DO NOTHING

-- spending
-- For whoever runs Bobbin: calls, tokens and cost, by person, channel, model or day; `name` where one is known.
SELECT CASE :by WHEN 'user' THEN c.user_id WHEN 'channel' THEN c.channel_id WHEN 'model' THEN c.model
        ELSE strftime('%Y-%m-%d', c.started_at / 1000, 'unixepoch') END AS what,
    max(CASE WHEN :by = 'user' THEN coalesce(p.name, '') ELSE '' END) AS name,
    count(*) AS calls, sum(c.estimated) AS estimated_calls,
    sum(c.input) AS input, sum(c.cache_read) AS cache_read, sum(c.cache_write) AS cache_write,
    sum(c.output) AS output, sum(c.micro_usd) AS micro_usd,
    sum(c.micro_usd * c.estimated) AS estimated_micro_usd
FROM call c LEFT JOIN person p ON p.team_id = c.team_id AND p.user_id = c.user_id
WHERE c.started_at >= :since GROUP BY what ORDER BY what

-- spending [postgres]
-- Its dates are read in another way.
SELECT CASE :by WHEN 'user' THEN c.user_id WHEN 'channel' THEN c.channel_id WHEN 'model' THEN c.model
        ELSE to_char(to_timestamp(c.started_at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS what,
    max(CASE WHEN :by = 'user' THEN coalesce(p.name, '') ELSE '' END) AS name,
    count(*) AS calls, sum(c.estimated) AS estimated_calls,
    sum(c.input) AS input, sum(c.cache_read) AS cache_read, sum(c.cache_write) AS cache_write,
    sum(c.output) AS output, sum(c.micro_usd) AS micro_usd,
    sum(c.micro_usd * c.estimated) AS estimated_micro_usd
FROM call c LEFT JOIN person p ON p.team_id = c.team_id AND p.user_id = c.user_id
WHERE c.started_at >= :since GROUP BY what ORDER BY what

-- channel_settings
-- What admins set for a channel.
SELECT name, value, set_by, set_ts FROM channel_setting WHERE team_id = :team AND channel_id = :channel

-- set_channel
-- Set it, unless a newer message did. No row: one did. A turn that is worked on again sets the same again.
INSERT INTO channel_setting(team_id, channel_id, name, value, set_by, set_ts)
VALUES (:team, :channel, :name, :value, :by, :ts)
ON CONFLICT(team_id, channel_id, name) DO UPDATE SET value = excluded.value, set_by = excluded.set_by,
    set_ts = excluded.set_ts
    WHERE excluded.set_ts >= channel_setting.set_ts
RETURNING name

-- attachments
-- What became of the files of a conversation's messages.
SELECT m.ts, a.file_id, a.format, a.reason, a.size, a.sha256, a.name
FROM attachment a JOIN message m ON m.id = a.message_id WHERE m.conversation_id = :conversation

-- keep_file
-- Once, whatever else brings it.
INSERT INTO file(sha256, data) VALUES (:sha256, :data) ON CONFLICT DO NOTHING

-- keep_file [postgres]
-- Its row is locked also where it is there: whoever takes its last message away just now must not take the file
-- from under this one.
INSERT INTO file(sha256, data) VALUES (:sha256, :data) ON CONFLICT(sha256) DO UPDATE SET sha256 = excluded.sha256

-- attach
-- What became of a message's file, in the place of what was noted before.
INSERT INTO attachment(message_id, file_id, format, reason, size, sha256, name)
VALUES (:message, :file, :format, :reason, :size, :sha256, :name)
ON CONFLICT(message_id, file_id) DO UPDATE SET format = excluded.format, reason = excluded.reason,
    size = excluded.size, sha256 = excluded.sha256, name = excluded.name

-- file_data
-- What the model reads of a file.
SELECT data FROM file WHERE sha256 = :sha256

-- attached_to
-- Whether a message's files were read.
SELECT file_id FROM attachment WHERE message_id = :message

-- detach
-- The message does not bring it any more; with the last that did, its bytes go (by a trigger).
DELETE FROM attachment WHERE message_id = :message AND file_id = :file

-- quoted
-- What conversations about threads of this channel have taken from this message.
SELECT m.id, m.edit_ts, m.deleted_at FROM (
    SELECT DISTINCT channel_id FROM conversation WHERE team_id = :team AND about_channel = :channel) AS c
JOIN message m ON m.team_id = :team AND m.channel_id = c.channel_id AND m.ts > :ts AND m.ts < :end
JOIN conversation o ON o.id = m.conversation_id AND o.about_channel = :channel

-- busy
-- How many threads of a workspace want something, and how many of these are worked on.
SELECT count(*) AS pending,
    coalesce(sum(CASE WHEN lease_owner IS NOT NULL AND lease_until > :now THEN 1 ELSE 0 END), 0) AS running
FROM conversation WHERE team_id = :team AND pending_at IS NOT NULL

-- kept_of
-- What is kept of somebody's words.
SELECT count(*) AS messages, count(DISTINCT conversation_id) AS threads, min(ts) AS oldest FROM message
WHERE team_id = :team AND user_id = :user AND role = 'user' AND deleted_at IS NULL

-- shown_by
-- The turn that a message of Bobbin shows the answer of.
SELECT t.id, t.seq, t.conversation_id FROM reply_part p JOIN turn t ON t.id = p.turn_id
WHERE p.team_id = :team AND p.channel_id = :channel AND p.ts = :ts AND p.kind <> 'notice'

-- read_in
-- Whose messages a turn read, and how many of them a summary stood for.
SELECT m.role, m.user_id, count(*) AS messages, min(m.ts) AS first, max(m.ts) AS last,
    sum(CASE WHEN t.seq < :until_seq OR t.seq = :until_seq AND m.ts <= :until_ts THEN 1 ELSE 0 END) AS condensed
FROM turn t CROSS JOIN message m
WHERE t.conversation_id = :conversation AND t.seq <= :seq AND m.turn_id = t.id AND m.deleted_at IS NULL
    AND NOT (m.turn_id = :turn AND m.role = 'assistant')
GROUP BY m.role, m.user_id ORDER BY first

-- files_in
-- The files of what a turn read.
SELECT m.ts, m.files FROM turn t CROSS JOIN message m
WHERE t.conversation_id = :conversation AND t.seq <= :seq AND m.turn_id = t.id AND m.deleted_at IS NULL
    AND m.files <> '[]'
ORDER BY m.ts

-- summary_of
-- What stands for the oldest part of a thread now, and since which turn something does.
SELECT until_seq, until_ts, first_turn, turn_id FROM summary WHERE conversation_id = :conversation

-- calls_of
-- Every call of the model in a turn.
SELECT model, estimated, input, cache_read, cache_write, output, micro_usd, request_id FROM call
WHERE turn_id = :turn ORDER BY id

-- turn_in_full
-- A turn and how its conversation stands, for whoever asks why; no words.
SELECT t.conversation_id, t.state, t.claims, t.deaths, t.started_at, t.finished_at, t.stop_asked, t.retry_asked,
    t.reopened_at, t.stop_reason, t.error, CASE WHEN t.answer IS NULL THEN 0 ELSE 1 END AS recorded,
    c.team_id, c.channel_id, c.thread_ts, c.pending_at, c.lease_owner, c.lease_until, c.not_before
FROM turn t JOIN conversation c ON c.id = t.conversation_id WHERE t.id = :turn

-- said_in
-- Whose messages a turn answers.
SELECT ts, user_id, event_id, created_at, addressed, reason, edit_ts, deleted_at FROM message
WHERE turn_id = :turn AND role = 'user' ORDER BY ts

-- said_at
-- One message of somebody, its turn, and how its conversation stands.
SELECT m.ts, m.user_id, m.event_id, m.created_at, m.addressed, m.reason, m.edit_ts, m.deleted_at,
    m.turn_id, t.seq, m.conversation_id,
    c.team_id, c.channel_id, c.thread_ts, c.pending_at, c.lease_owner, c.lease_until, c.not_before
FROM message m JOIN conversation c ON c.id = m.conversation_id LEFT JOIN turn t ON t.id = m.turn_id
WHERE m.team_id = :team AND m.channel_id = :channel AND m.ts = :ts AND m.role = 'user'

-- calls_in_full
-- Every call of the model in a turn, with its times and what it failed with.
SELECT model, purpose, state, estimated, started_at, first_at, finished_at, input, cache_read, cache_write, output,
    micro_usd, request_id, error
FROM call WHERE turn_id = :turn ORDER BY id

-- steps_of
-- What else happened in it.
SELECT at, what, detail FROM step WHERE turn_id = :turn ORDER BY at, id

-- ahead_of
-- How many conversations of a workspace come before this one, and how many are worked on.
SELECT coalesce(sum(CASE WHEN c.lease_until <= :now AND c.not_before <= :now
        AND (c.place < o.place OR c.place = o.place AND c.id < o.id) THEN 1 ELSE 0 END), 0) AS ahead,
    coalesce(sum(CASE WHEN c.lease_owner IS NOT NULL AND c.lease_until > :now THEN 1 ELSE 0 END), 0) AS running
FROM conversation o JOIN conversation c ON c.team_id = o.team_id AND c.pending_at IS NOT NULL AND c.id <> o.id
WHERE o.id = :conversation AND o.team_id = :team

-- risky_beside
-- Other turns that killed their process again and again.
SELECT count(*) AS count FROM turn t JOIN conversation c ON c.id = t.conversation_id
WHERE t.state = 'open' AND t.deaths >= 2 AND c.team_id = :team AND c.id <> :conversation

-- last_heard
-- When events could last come in.
SELECT heard_at FROM heard WHERE team_id = :team

-- last_heard_of_all
-- The same, in whichever workspace.
SELECT max(heard_at) AS heard_at FROM heard

-- gauges
-- How much waits and how long, what is open, what is to be deleted in Slack: for metrics.
SELECT
    (SELECT count(*) FROM conversation WHERE pending_at IS NOT NULL AND lease_until <= :now) AS waiting,
    (SELECT min(pending_at) FROM conversation WHERE pending_at IS NOT NULL AND lease_until <= :now) AS oldest,
    (SELECT count(*) FROM turn WHERE state = 'open') AS open_turns,
    (SELECT count(*) FROM orphan) AS orphans

-- present
-- A worker says that it is at work; not once it has said that it ends, which may be written first.
INSERT INTO worker(id, team_id, seen_at) VALUES (:worker, :team, :now)
ON CONFLICT(id) DO UPDATE SET seen_at = excluded.seen_at WHERE worker.seen_at > 0

-- absent
-- It ends.
UPDATE worker SET seen_at = 0 WHERE id = :worker

-- at_work
-- How many have said so lately, of one workspace or of all, and how many of them stand before this one.
SELECT count(*) AS workers, count(CASE WHEN id < :worker THEN 1 END) AS number FROM worker
WHERE seen_at > :since AND CAST(:team AS text) IN ('', team_id)

-- purge_workers
-- Those that have ended.
DELETE FROM worker WHERE seen_at < :before

-- server
-- What the doctor asks of a server; a file has none.
SELECT 1 WHERE 1 = 0

-- server [postgres]
-- What the connection goes through, and how many more there may be.
SELECT current_setting('server_version') AS version, host(inet_server_addr()) AS address,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted,
    CAST(current_setting('max_connections') AS integer) AS most,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS open

-- is_forgotten
-- Whether a message is of what must stay forgotten: it was known then, or it comes late and was written before.
SELECT 1 FROM forgotten WHERE (
        team_id = :team AND user_id = '' AND channel_id = '' AND thread_ts = ''
        OR team_id = :team AND user_id = :author AND channel_id = '' AND thread_ts = ''
        OR team_id = :team AND user_id = '' AND channel_id = :channel AND thread_ts = :thread)
    AND until_ts >= :ts AND (:late = 1 OR known_ts >= :ts)

-- keep_forgotten
-- From now on it stays forgotten.
INSERT INTO forgotten(team_id, user_id, channel_id, thread_ts, known_ts, until_ts, forgotten_at)
VALUES (:team, :user, :channel, :thread, :known, :until, :now)
ON CONFLICT(team_id, user_id, channel_id, thread_ts) DO UPDATE SET
    known_ts = CASE WHEN excluded.known_ts > forgotten.known_ts THEN excluded.known_ts
        ELSE forgotten.known_ts END,
    until_ts = excluded.until_ts, forgotten_at = excluded.forgotten_at

-- all_forgotten
-- What must stay forgotten in a database that takes this one's place.
SELECT team_id, user_id, channel_id, thread_ts, known_ts, until_ts, forgotten_at FROM forgotten
ORDER BY forgotten_at

-- conversations_about
-- A thread's conversation, and the private ones about it.
SELECT id, channel_id, thread_ts FROM conversation WHERE team_id = :team
    AND (channel_id = :channel AND thread_ts = :thread OR about_channel = :channel AND about_thread = :thread)

-- direct_of
-- Somebody's conversations in private: who asks there, or was ever answered there.
SELECT id, channel_id, thread_ts FROM conversation c WHERE c.team_id = :team AND c.direct = 1
    AND (c.asker_id = :user OR EXISTS (SELECT 1 FROM message m WHERE m.conversation_id = c.id
        AND m.team_id = :team AND m.user_id = :user AND m.addressed = 1))

-- conversations_of
-- All of a workspace.
SELECT id, channel_id, thread_ts FROM conversation WHERE team_id = :team

-- idle
-- Conversations in which nothing was said since then, and nothing is to be done.
SELECT id, channel_id, thread_ts FROM conversation
WHERE pending_at IS NULL AND last_ts < :before_ts AND created_at < :before AND lease_owner IS NULL AND team_id <> ''
LIMIT :limit

-- idle [postgres]
-- Held as they are found, so that they are idle still when they are forgotten. What somebody else holds just now is
-- not idle, or is looked at again the next time.
SELECT id, channel_id, thread_ts FROM conversation
WHERE pending_at IS NULL AND last_ts < :before_ts AND created_at < :before AND lease_owner IS NULL AND team_id <> ''
LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED

-- words_in
-- What a conversation holds, and the newest moment known of it.
SELECT
    (SELECT count(*) FROM message WHERE conversation_id = :conversation AND role = 'user'
        AND deleted_at IS NULL) AS messages,
    (SELECT count(*) FROM message WHERE conversation_id = :conversation AND role = 'assistant'
        AND deleted_at IS NULL)
        + (SELECT count(*) FROM answer_version v JOIN turn t ON t.id = v.turn_id
            WHERE t.conversation_id = :conversation) AS answers,
    (SELECT count(*) FROM attachment a JOIN message m ON m.id = a.message_id
        WHERE m.conversation_id = :conversation) AS files,
    (SELECT count(*) FROM summary WHERE conversation_id = :conversation AND text IS NOT NULL) AS summaries,
    (SELECT count(*) FROM feedback f JOIN turn t ON t.id = f.turn_id
        WHERE t.conversation_id = :conversation) AS feedback,
    coalesce((SELECT max(ts) FROM message WHERE conversation_id = :conversation), '') AS newest_message,
    coalesce((SELECT max(p.ts) FROM reply_part p JOIN turn t ON t.id = p.turn_id
        WHERE t.conversation_id = :conversation), '') AS newest_part

-- words_by
-- What is kept of somebody, and their newest message.
SELECT
    (SELECT count(*) FROM message WHERE team_id = :team AND user_id = :user AND role = 'user'
        AND deleted_at IS NULL) AS messages,
    (SELECT count(*) FROM answer_version WHERE turn_id IN (
        SELECT turn_id FROM message WHERE team_id = :team AND user_id = :user AND role = 'user')) AS answers,
    (SELECT count(*) FROM attachment a JOIN message m ON m.id = a.message_id
        WHERE m.team_id = :team AND m.user_id = :user AND m.role = 'user') AS files,
    (SELECT count(*) FROM summary WHERE text IS NOT NULL AND conversation_id IN (
        SELECT conversation_id FROM message WHERE team_id = :team AND user_id = :user)) AS summaries,
    (SELECT count(*) FROM feedback f JOIN turn t ON t.id = f.turn_id
        JOIN conversation c ON c.id = t.conversation_id
        WHERE c.team_id = :team AND f.user_id = :user) AS feedback,
    (SELECT count(*) FROM person WHERE team_id = :team AND user_id = :user) AS names,
    (SELECT count(DISTINCT conversation_id) FROM message WHERE team_id = :team AND user_id = :user
        AND role = 'user' AND deleted_at IS NULL) AS threads,
    coalesce((SELECT max(ts) FROM message WHERE team_id = :team AND user_id = :user), '') AS newest_message

-- names_in
-- How many people of a workspace are known by name.
SELECT count(*) AS names FROM person WHERE team_id = :team

-- drop_messages
-- A conversation is forgotten: its words, and (by a trigger) the bytes of files that nothing else brings.
DELETE FROM message WHERE conversation_id = :conversation

-- drop_summary
-- And what stood for them.
DELETE FROM summary WHERE conversation_id = :conversation

-- drop_conversation_versions
-- And earlier answers,
DELETE FROM answer_version WHERE turn_id IN (SELECT id FROM turn WHERE conversation_id = :conversation)

-- drop_conversation_feedback
-- what people thought of them,
DELETE FROM feedback WHERE turn_id IN (SELECT id FROM turn WHERE conversation_id = :conversation)

-- drop_conversation_steps
-- what happened meanwhile,
DELETE FROM step WHERE turn_id IN (SELECT id FROM turn WHERE conversation_id = :conversation)

-- drop_conversation_parts
-- where they stand.
DELETE FROM reply_part WHERE turn_id IN (SELECT id FROM turn WHERE conversation_id = :conversation)

-- empty_turns
-- The husk of a turn: a number that is not given a second time, as buttons in Slack may still name it.
UPDATE turn SET stop_asked = CASE WHEN state = 'open' THEN 'forgotten' ELSE NULL END, finished_at = :now,
    state = 'cancelled', answer = NULL, error = '', stop_reason = '', request_id = '', retry_asked = 0, anew = 0
WHERE conversation_id = :conversation

-- empty_conversation
-- The husk of a conversation: of no workspace. The new fence, and no owner, make all writes for it fail.
UPDATE conversation SET team_id = '', channel_id = '', thread_ts = CAST(id AS text), direct = 0, muted = 0,
    backfill = 0, asker_id = '', last_ts = '', pending_at = NULL, place = 0, not_before = 0,
    lease_owner = NULL, lease_until = 0, fence = fence + 1, about_channel = '', about_thread = ''
WHERE id = :conversation

-- clear_turns
-- Husks go once a newer number was given, and whoever was still answering has heard of it.
DELETE FROM turn WHERE id < (SELECT max(id) FROM turn) AND (stop_asked IS NULL OR finished_at < :before)
    AND conversation_id IN (SELECT id FROM conversation WHERE team_id = '')

-- clear_conversations
-- Likewise.
DELETE FROM conversation WHERE team_id = '' AND id < (SELECT max(id) FROM conversation)
    AND NOT EXISTS (SELECT 1 FROM turn t WHERE t.conversation_id = conversation.id)

-- is_there
-- Whether a conversation was not forgotten.
SELECT 1 FROM conversation WHERE id = :conversation AND team_id <> ''

-- open_turns_with
-- What is being answered of somebody's words.
SELECT DISTINCT t.id FROM message m JOIN turn t ON t.id = m.turn_id
WHERE m.team_id = :team AND m.user_id = :user AND m.role = 'user' AND m.deleted_at IS NULL AND t.state = 'open'

-- spoken_in
-- Where somebody spoke, in the order in which conversations are held.
SELECT DISTINCT conversation_id FROM message WHERE team_id = :team AND user_id = :user ORDER BY conversation_id

-- waiting_with
-- Where words of somebody wait to be answered.
SELECT DISTINCT conversation_id FROM message
WHERE team_id = :team AND user_id = :user AND turn_id IS NULL AND deleted_at IS NULL

-- spoil_summaries_with
-- Summaries of threads in which somebody spoke are made anew.
UPDATE summary SET text = NULL, authors = '[]' WHERE conversation_id IN (
    SELECT conversation_id FROM message WHERE team_id = :team AND user_id = :user)

-- drop_versions_for
-- Earlier answers to somebody.
DELETE FROM answer_version WHERE turn_id IN (
    SELECT turn_id FROM message WHERE team_id = :team AND user_id = :user AND role = 'user')

-- detach_all_of
-- What was read of somebody's files.
DELETE FROM attachment WHERE message_id IN (
    SELECT id FROM message WHERE team_id = :team AND user_id = :user AND role = 'user')

-- blank_all_of
-- Somebody's words and their name on them. The rows stay: nothing that comes late can bring them back.
UPDATE message SET text = '', files = '[]', user_id = '', deleted_at = coalesce(deleted_at, :now)
WHERE team_id = :team AND user_id = :user AND role = 'user'

-- drop_feedback_of
-- What somebody thought of answers.
DELETE FROM feedback WHERE user_id = :user AND turn_id IN (
    SELECT t.id FROM turn t JOIN conversation c ON c.id = t.conversation_id WHERE c.team_id = :team)

-- unname_asker
-- Who asked last.
UPDATE conversation SET asker_id = '' WHERE team_id = :team AND asker_id = :user

-- unname_setter
-- What holds for a channel stays, without who set it.
UPDATE channel_setting SET set_by = '' WHERE team_id = :team AND set_by = :user

-- drop_person
-- A name.
DELETE FROM person WHERE team_id = :team AND user_id = :user

-- drop_notes_of
-- What somebody was told.
DELETE FROM note WHERE team_id = :team AND user_id = :user

-- unname_calls
-- The ledger keeps numbers. Of a day that still counts towards somebody's budget it keeps whose they are.
UPDATE call SET user_id = '' WHERE team_id = :team AND user_id = :user AND started_at < :before

-- lately_forgotten
-- Who was forgotten of late: what their budget needed of the ledger may be needed no more.
SELECT team_id, user_id, forgotten_at FROM forgotten WHERE user_id <> '' AND forgotten_at > :since

-- unname_old_calls
-- The same when its time has come; by workspace, so that of all calls only those with a name are looked at.
UPDATE call SET user_id = '' WHERE team_id = :team AND user_id > '' AND started_at < :before

-- drop_old_people
-- Names of people of whom nothing is kept; admins are still told of budgets.
DELETE FROM person WHERE learned_at < :before AND admin = 0 AND NOT EXISTS (
    SELECT 1 FROM message m WHERE m.team_id = person.team_id AND m.user_id = person.user_id)
RETURNING user_id

-- drop_team_people
-- A workspace is forgotten: names,
DELETE FROM person WHERE team_id = :team

-- drop_team_notes
-- notes,
DELETE FROM note WHERE team_id = :team

-- drop_team_settings
-- what held for its channels,
DELETE FROM channel_setting WHERE team_id = :team

-- drop_team_events
-- its events,
DELETE FROM inbox WHERE team_id = :team

-- drop_team_tombstones
-- its deletions,
DELETE FROM tombstone WHERE team_id = :team

-- drop_team_orphans
-- messages of Bobbin that it cannot delete any more,
DELETE FROM orphan WHERE team_id = :team

-- drop_team_heard
-- since when it was heard,
DELETE FROM heard WHERE team_id = :team

-- drop_team_forgotten
-- and what was forgotten before.
DELETE FROM forgotten WHERE team_id = :team

-- unname_team_calls
-- Of its ledger the numbers stay.
UPDATE call SET user_id = '', channel_id = '' WHERE team_id = :team

-- purge_forgotten_teams
-- By then no event of before can come; the workspace may install Bobbin anew.
DELETE FROM forgotten WHERE user_id = '' AND channel_id = '' AND forgotten_at < :before

-- teams
-- The workspaces of which something is kept.
SELECT team_id FROM conversation WHERE team_id <> '' UNION SELECT team_id FROM person ORDER BY team_id

-- starter
-- Who wrote a thread's first message, as far as it is kept.
SELECT user_id FROM message WHERE team_id = :team AND channel_id = :channel AND ts = :thread
    AND role = 'user' AND user_id <> ''

-- is_doubtful
-- Whether what a turn asks was said before this database was restored: it may have been answered since the backup.
-- What somebody wants answered again since is not.
SELECT 1 FROM restored r JOIN turn t ON t.id = :turn
WHERE r.restored_ts >= :asked AND t.reopened_at <= r.restored_at

-- note_restored
-- This database was a backup until now.
INSERT INTO restored(restored_ts, restored_at) VALUES (:moment, :now) ON CONFLICT DO NOTHING

-- purge_restored
-- Nothing that was said before comes any more.
DELETE FROM restored WHERE restored_at < :before

-- forget_wishes
-- What was to be tried or answered again may have been since: a person can ask once more.
UPDATE turn SET retry_asked = 0 WHERE retry_asked <> 0

-- forget_orphans
-- What was to be deleted may show an answer since.
DELETE FROM orphan

-- skip_conversations
-- Numbers that were given since the backup stand in Slack's buttons: none of them is given again.
INSERT INTO conversation(id, team_id, channel_id, thread_ts, created_at)
SELECT coalesce(max(id), 0) + :skipped, '', '', CAST(coalesce(max(id), 0) + :skipped AS text), :now
FROM conversation RETURNING id

-- skip_conversations [postgres]
-- There a sequence gives the numbers.
SELECT setval(pg_get_serial_sequence('conversation', 'id'),
    (SELECT coalesce(max(id), 0) FROM conversation) + :skipped) AS id

-- skip_turns
-- Likewise.
INSERT INTO turn(id, conversation_id, seq, state, fence, started_at)
SELECT coalesce(max(id), 0) + :skipped, :conversation, 1, 'cancelled', 0, :now FROM turn

-- skip_turns [postgres]
-- There a sequence gives the numbers.
SELECT setval(pg_get_serial_sequence('turn', 'id'), (SELECT coalesce(max(id), 0) FROM turn) + :skipped) AS id

-- deletions
-- What was deleted in Slack, as far as it is known.
SELECT team_id, channel_id, ts FROM message WHERE deleted_at IS NOT NULL AND team_id <> ''
UNION SELECT team_id, channel_id, ts FROM tombstone

-- forgotten_since
-- When this was last forgotten here.
SELECT forgotten_at FROM forgotten
WHERE team_id = :team AND user_id = :user AND channel_id = :channel AND thread_ts = :thread

-- parts_in
-- The messages of Bobbin that turns of a conversation account for, orphans too. What was only read there is not.
SELECT p.ts FROM reply_part p JOIN turn t ON t.id = p.turn_id WHERE t.conversation_id = :conversation
UNION SELECT o.ts FROM orphan o WHERE o.team_id = :team AND o.channel_id = :channel

-- ask_later
-- What was said after the last answer that stands in Slack waits for its own.
UPDATE message SET turn_id = NULL WHERE turn_id = :turn AND role = 'user' AND ts > :ts

-- counts
-- What a database holds: a backup must hold the same.
SELECT (SELECT count(*) FROM conversation WHERE team_id <> '') AS threads, (SELECT count(*) FROM turn) AS turns,
    (SELECT count(*) FROM message) AS messages, (SELECT count(*) FROM file) AS files,
    (SELECT count(*) FROM call) AS calls

-- columns
-- The tables: of each column, its place in the primary key (0: none), the table it refers to, and its kind in
-- PostgreSQL's words.
SELECT t.name AS "table", c.name AS "column", c.pk AS key, f."table" AS refers,
    CASE c.type WHEN 'INTEGER' THEN 'bigint' WHEN 'BLOB' THEN 'bytea' ELSE 'text' END AS kind
FROM pragma_table_list t JOIN pragma_table_info(t.name) c
    LEFT JOIN pragma_foreign_key_list(t.name) f ON f."from" = c.name
WHERE t.schema = 'main' AND t.type = 'table' AND substr(t.name, 1, 7) <> 'sqlite_' AND t.name <> 'worker'

-- columns [postgres]
-- The table of the version is none of those that have rows; and who works on a database is nothing that it keeps.
SELECT t.relname AS "table", a.attname AS "column", coalesce(array_position(p.conkey, a.attnum), 0) AS key,
    r.relname AS refers, replace(format_type(a.atttypid, NULL), 'integer', 'bigint') AS kind
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = current_schema()
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_constraint p ON p.conrelid = t.oid AND p.contype = 'p'
    LEFT JOIN pg_constraint f ON f.conrelid = t.oid AND f.contype = 'f' AND a.attnum = ANY(f.conkey)
    LEFT JOIN pg_class r ON r.oid = f.confrelid
WHERE t.relkind = 'r' AND t.relname NOT IN ('bobbin', 'worker')

-- hold_version
-- The version, which tells a copy that its database is still its own.
SELECT user_version AS version FROM pragma_user_version

-- hold_version [postgres]
-- One copy at a time.
SELECT version FROM bobbin FOR UPDATE

-- thread_lines
-- A thread as it is kept, in the order in which it was said.
SELECT m.ts, m.role, m.user_id, m.text, m.files, m.edit_ts
FROM conversation c JOIN message m ON m.conversation_id = c.id
WHERE c.team_id = :team AND c.channel_id = :channel AND c.thread_ts = :thread AND m.deleted_at IS NULL
ORDER BY m.ts

-- names
-- Everybody who is known by name.
SELECT user_id, name FROM person WHERE team_id = :team

-- thread_at
-- The thread that a message belongs to, or begins.
SELECT thread_ts FROM conversation WHERE team_id = :team AND channel_id = :channel AND (thread_ts = :ts
    OR id IN (SELECT conversation_id FROM message WHERE team_id = :team AND channel_id = :channel AND ts = :ts)
    OR id IN (SELECT t.conversation_id FROM reply_part p JOIN turn t ON t.id = p.turn_id
        WHERE p.team_id = :team AND p.channel_id = :channel AND p.ts = :ts))
