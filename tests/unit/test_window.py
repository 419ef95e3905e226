"""What fits the window, what is condensed, what is cached and for how long."""

import doctest
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bot.window
from bot.conversation import Document, Image, Message, Messages, Text
from bot.images import LONG_EDGE
from bot.models import UNKNOWN, known
from bot.ports import CachePoints, Line
from bot.window import Window, cut, gaps, held, lasting, pieces, points, size_of, tokens

SONNET = known("us.anthropic.claude-sonnet-5-5")
HAIKU = known("us.anthropic.claude-haiku-4-5-20251001-v1:0")
MINUTE, HOUR = 60.0, 3600.0


def talk(*seqs: int) -> list[Line]:
    """A line for each, of the turn of this number; a minute between them."""
    return [
        Line("user", f"{1_795_000_000 + 60 * at}.000100", "U1", "x", seq=seq) for at, seq in enumerate(seqs)
    ]


def said(*blocks: int) -> Messages:
    """Alternating messages of so many blocks each."""
    return tuple(
        Message("assistant" if at % 2 else "user", (Text("x"),) * count) for at, count in enumerate(blocks)
    )


def test_the_examples_run():
    assert doctest.testmod(bot.window).failed == 0


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("plain English words, " * 50, 260),
        ("これは日本語の文です。" * 50, 550),
        ("Ünïcödé " * 50, 200),
        ("🧵" * 50, 100),
    ],
)
def test_the_guess_is_rather_too_high_than_too_low(text, least):
    assert least <= tokens(Text(text)) <= 4 * least


def test_pictures_and_documents_have_sizes_of_their_own():
    # The largest that is sent, as current models count it.
    assert tokens(Image("png", b"x")) == tokens(Image("png", b"x" * 1_000_000)) >= (LONG_EDGE // 28) ** 2
    assert tokens(Document("a", "txt", b"x" * 3000)) == pytest.approx(1000, rel=0.01)
    assert tokens(Document("a", "docx", b"x" * 3000)) > tokens(Document("a", "pdf", b"x" * 3000)) > 100
    assert size_of(Message("user", (Text("abc"), Text("abc")))) == 2 * tokens(Text("abc"))


def test_the_window_is_the_models_or_less_and_an_answer_takes_a_quarter_of_it_at_most():
    assert Window.of(1_000_000, 200_000, 8192) == Window(200_000, 8192)
    assert Window.of(200_000, 900_000, 8192) == Window(200_000, 8192)
    assert Window.of(200_000, 12_000, 8192) == Window(12_000, 3000)


@given(size=st.integers(4_000, 1_000_000), output=st.integers(1, 128_000))
def test_what_is_condensed_at_once_fits_beside_earlier_notes_and_the_new_ones(size, output):
    window = Window.of(1_000_000, size, output)
    assert 0 < window.piece + window.summary + 2 * window.summary < window.size
    assert window.full < window.room < window.size


# ---------------------------------------------------------------- what to condense


def test_whole_turns_are_condensed_so_that_half_of_the_room_is_left_to_the_rest():
    lines = talk(1, 1, 2, 2, 3, 3, 4, 4)
    assert cut(lines, [10] * 8, 80) == 4
    assert cut(lines, [10] * 8, 70) == 6  # half is 35: of turns 3 and 4 only one fits


def test_what_was_said_before_bobbin_came_is_cut_between_messages_where_turns_leave_too_little():
    assert cut(talk(*[0] * 10, 1), [10] * 11, 100) == 6
    assert cut(talk(1, *[2] * 10), [10] * 11, 100) == 6


def test_the_newest_message_always_stays():
    assert cut(talk(1, 2), [10, 900], 100) == 1
    assert cut(talk(1), [900], 100) == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 50)), min_size=1), st.integers(1, 500))
def test_something_is_condensed_wherever_there_are_two_messages_and_what_is_left_fits(turns, room):
    seqs: list[int] = []
    sizes: list[int] = []
    for step, size in turns:
        seqs.append((seqs[-1] if seqs else 0) + step)
        sizes.append(size)
    count = cut(talk(*seqs), sizes, min(room, sum(sizes)))
    assert (count > 0) == (len(sizes) > 1)
    assert sum(sizes[count:]) <= room / 2 or count == len(sizes) - 1


@given(st.lists(st.integers(1, 50)), st.integers(1, 100))
def test_pieces_cover_everything_once_and_each_fits_unless_it_is_one_message(sizes, room):
    runs = list(pieces(sizes, room))
    assert [at for run in runs for at in range(run.start, run.stop)] == list(range(len(sizes)))
    assert all(sum(sizes[run]) <= room or run.stop - run.start == 1 for run in runs)


# ---------------------------------------------------------------- what to cache


def test_a_thread_is_cached_at_its_newest_message_and_the_system_prompt_where_it_is_long():
    assert points(said(1), "Hi", 9000, [], SONNET) == CachePoints(system=False, after=(0,), ttl="5m")
    assert points(said(1, 1, 1), "x" * 9000, 9000, [60], SONNET) == CachePoints(system=True, after=(2,))


def test_where_much_was_said_at_once_the_end_of_the_request_before_is_a_point_as_well():
    assert points(said(9, 1, 17), "", 9000, [60], SONNET) == CachePoints(after=(2,))
    assert points(said(9, 1, 18), "", 9000, [60], SONNET) == CachePoints(after=(0, 2))
    assert points(said(40), "", 9000, [60], SONNET) == CachePoints(after=(0,))


def test_too_little_is_not_cached_nor_is_it_where_the_model_has_no_cache():
    assert points(said(1), "", 511, [], SONNET) is None
    assert points(said(1), "", 4095, [], HAIKU) is None
    assert points(said(1), "", 90_000, [], replace(UNKNOWN, ttls=())) is None


@pytest.mark.parametrize("model", [SONNET, HAIKU])
@pytest.mark.parametrize(
    ("gap", "ttl"), [(20, "5m"), (5 * MINUTE, "5m"), (20 * MINUTE, "1h"), (HOUR, "1h"), (2 * HOUR, None)]
)
def test_an_even_pace_decides_how_long_a_thread_is_cached_from_the_second_turn_on(model, gap, ttl):
    assert lasting(9000, [], model) == "5m"
    for turns in (2, 3, 10, 100):
        assert lasting(9000 * turns, [gap] * (turns - 1), model) == ttl


def test_a_pace_that_changes_is_followed_within_four_turns():
    assert lasting(90_000, [30] * 20 + [20 * MINUTE] * 4, SONNET) == "1h"
    assert lasting(90_000, [2 * HOUR] * 20 + [30] * 4, SONNET) == "5m"


def test_where_five_minutes_are_now_and_then_too_short_an_hour_is_paid_for():
    assert lasting(90_000, [60, 60, 60, 600] * 5, SONNET) == "1h"
    assert lasting(90_000, [60, 60, 60, 600] * 5, replace(SONNET, ttls=("5m",))) == "5m"


def test_the_pace_is_that_of_the_turns_and_not_of_what_was_said_before_or_within_them():
    assert gaps(talk(0, 0, 0)) == []
    assert gaps(talk(0, 1, 1, 1, 2, 4)) == [60, 60]


@pytest.mark.parametrize(
    ("pace", "since", "left"),
    [(60, 200, 9000), (60, 301, 0), (1200, 3000, 9000), (1200, 3601, 0), (7200, 60, 0)],
)
def test_what_the_request_before_left_in_the_cache_is_there_until_its_time_has_run_out(pace, since, left):
    moments = [0, pace, 2 * pace, 2 * pace + since]
    lines = [Line("user", f"{1_795_000_000 + at}.0", "U1", "x", seq=seq) for seq, at in enumerate(moments, 1)]
    assert held((3, 9000), lines, SONNET) == left
    assert held((2, 9000), lines[2:], SONNET) == 0  # it was condensed since
