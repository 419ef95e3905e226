from typing import Any

import pytest

from bot.sandbox.scripted import NOTICE, Scripted, deltas


def user(*said: str | tuple[str, str]) -> dict[str, Any]:
    blocks = []
    for one in said:
        who, words = one if isinstance(one, tuple) else ("Ann Lee", one)
        blocks.append({"text": f'<message from="{who}" at="2026-11-24 14:02 UTC">{words}</message>'})
    return {"role": "user", "content": blocks}


def assistant(words: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"text": words}]}


def answer(*messages: dict[str, Any]) -> str:
    return Scripted().answer(messages, "")


def test_the_first_answer_of_a_thread_says_that_a_script_speaks():
    assert answer(user("What's 1+1?")) == f"2\n\n{NOTICE}"
    assert NOTICE not in answer(user("Hi"), assistant("Hi"), user("Hi again"))


def test_sums_go_on_through_the_conversation():
    talk = [user("What's 1+1?"), assistant("2"), user("And 3 more added to that?")]
    assert answer(*talk) == "5"
    assert answer(*talk, assistant("5"), user("times 4"), assistant("20"), user("minus 1")) == "19"


def test_without_what_came_before_there_is_nothing_to_add_to():
    assert answer(user("And 3 more added to that?")).startswith("More than what?")


def test_an_answer_that_was_left_out_is_seen():
    assert answer(user("What's 1+1?", "And 3 more added to that?")).startswith("2, then 5")


@pytest.mark.parametrize(
    ("words", "result"), [("2*3+1", "7"), ("7 - 2", "5"), ("1/4", "0.25"), ("1.5 x 2", "3")]
)
def test_sums_are_done_from_left_to_right(words: str, result: str):
    assert answer(user(words)).split("\n")[0] == result


def test_dividing_by_nothing_is_no_sum():
    assert answer(user("1/0")).startswith("I have read 1 messages")


def test_what_is_to_be_said_exactly_is_said_exactly():
    assert answer(user("say exactly: <!channel>\n 1+1 ")) == "<!channel>\n 1+1"


def test_it_tells_who_said_what():
    talk = [user("The loom is blue", ("Bo", "No, green")), assistant("Well"), user("Who said what?")]
    assert answer(*talk) == "- Ann Lee: “The loom is blue”\n- Bo: “No, green”"
    asked = [*talk[:2], user(("Bo", "What did I say first?"))]
    assert answer(*asked) == "- Bo: “No, green”"


def test_it_counts_what_it_was_sent():
    assert answer(user("a", "b"), assistant("c"), user("How many messages?")).startswith("I was sent 3 ")


def test_it_quotes_all_that_is_new():
    talk = answer(user("old"), assistant("c"), user("one", ("Bo", "two")))
    assert talk == "I have read 3 messages of this thread. The newest:\n- Ann Lee: “one”\n- Bo: “two”"


@pytest.mark.parametrize(
    ("words", "part"), [("a table please", "|---|"), ("some code", "```python"), ("a link", "](https://")]
)
def test_it_writes_what_is_hard_to_show(words: str, part: str):
    assert part in answer(user(words))


def test_it_writes_as_much_as_is_asked_for():
    words = answer(user("x"), assistant("y"), user("Write 3000 words")).split()
    assert len([word for word in words if not word.endswith(".")]) == 3000


def test_only_the_newest_words_ask_for_waiting_or_failing():
    script = Scripted()
    assert script.wait([user("wait 5")]) == 5
    assert script.fault([user("fail throttled")]) == "throttled"
    after = [user("fail throttled", "wait 5", "Hello")]
    assert script.wait(after) == 0
    assert script.fault(after) == ""


def test_an_answer_is_cut_into_small_pieces_always_the_same():
    text = "Grüße, 世界! " * 50
    assert "".join(deltas(text)) == text
    assert list(deltas(text)) == list(deltas(text))
    assert {len(piece) for piece in deltas(text)} <= set(range(1, 46))


def test_notes_keep_what_was_to_be_remembered_and_what_earlier_notes_say_of_it():
    earlier = {
        "text": '<summary until="2026-11-24 14:02 UTC">\n- Ann Lee: remember that tea is at four\n</summary>'
    }
    told = user(("Ben", "Please remember that Bo is ill. Thanks"), ("Ben", "Hello?"))["content"]
    now = {"text": "Summarise everything above in at most 9 words."}
    notes = answer({"role": "user", "content": [earlier, *told, now]})
    assert notes == "- Ann Lee: remember that tea is at four\n- Ben: remember that Bo is ill"
    asked = answer({"role": "user", "content": [earlier, *user("What should you remember?")["content"]]})
    assert asked.startswith("- Ann Lee: remember that tea is at four")
