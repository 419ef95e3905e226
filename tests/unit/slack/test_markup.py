"""Slack's markup undone."""

import pytest

from bot.slack.text import is_pleasantry, links, mentions, mentions_others, read, without_mention

NAMES = {"U1": "Ann Lee", "U2": "A &lt; B"}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param("<@UBOT> what's 1+1?", "what's 1+1?", id="mention of Bobbin in front"),
        pytest.param("<@UBOT|bobbin>: what's 1+1?", "what's 1+1?", id="with a label and a colon"),
        pytest.param("hey <@UBOT> look", "hey look", id="in the middle"),
        pytest.param(
            "hey <@UBOT>!\n<@UBOT> look", "hey!\nlook", id="before a sign, and on a line of its own"
        ),
        pytest.param("<@U1> and <@U1|ann>", "@Ann Lee and @Ann Lee", id="a known person"),
        pytest.param("<@U9> and <@U9|zoe>", "@U9 and @zoe", id="an unknown person"),
        pytest.param("<@U2>", "@A &lt; B", id="a name is not escaped"),
        pytest.param("<#C1|general> <#C2> <#C3|>", "#general #C2 #C3", id="channels"),
        pytest.param("<!subteam^S1|@grp> <!subteam^S1>", "@grp @S1", id="user groups"),
        pytest.param("<!here> <!channel|channel>", "@here @channel", id="special mentions"),
        pytest.param("<!date^1392734382^{date}|Feb 18>", "Feb 18", id="a date"),
        pytest.param("<https://a.com/x|the page>", "the page (https://a.com/x)", id="a labelled link"),
        pytest.param("<http://a.com/|a.com> <https://a.com>", "http://a.com/ https://a.com", id="same label"),
        pytest.param("<https://a.com/?a=1&amp;b=2>", "https://a.com/?a=1&b=2", id="an escaped address"),
        pytest.param("<mailto:a@b.c|a@b.c> <mailto:a@b.c|Al>", "a@b.c Al (a@b.c)", id="mail"),
        pytest.param("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2", id="escapes"),
        pytest.param("&amp;lt;b&amp;gt;", "&lt;b&gt;", id="unescaped once"),
        pytest.param("&lt;@U1&gt;", "<@U1>", id="typed brackets are no tag"),
    ],
)
def test_reads_as_its_sender_saw_it(text, seen):
    assert seen == read(text, me="UBOT", names=NAMES)


def test_names_everyone_mentioned_once_and_in_order():
    assert mentions("<@U2> <@UBOT> &lt;@U7&gt; <@U1|x> <@U2>") == ("U2", "UBOT", "U1")


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("<@UBOT> hi", False),
        ("<@UBOT> and <@U1>", True),
        ("<!subteam^S1|@grp> hi", True),
        ("<!here> hi", False),
        ("hi", False),
    ],
)
def test_tells_whether_others_are_mentioned(text, others):
    assert others is mentions_others(text, "UBOT")


def test_finds_the_addresses_a_person_wrote():
    text = (
        "<https://a.com/?a=1&amp;b=2|here> <mailto:a@b.c> <@U1> <#C1|https://no.com> &lt;https://no.com&gt;"
    )
    assert frozenset({"https://a.com/?a=1&b=2", "mailto:a@b.c"}) == links(text)


@pytest.mark.parametrize("text", ["<@UBOT> mute", "<@UBOT>: mute ", "mute <@UBOT|b>", "mute"])
def test_leaves_the_command_word_without_the_mention(text):
    assert without_mention(text, "UBOT") == "mute"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "thanks",
            "Thanks!",
            "thank you so much",
            "thx",
            "ok thanks :)",
            "OK",
            "okay.",
            "great, got it",
            "+1",
        ),
        *("👍", "👍🏽 ❤️", ":tada:", ":+1::skin-tone-2:", "thanks 🎉", "&lt;3", "nice one", "cool cool"),
        *(
            "Danke schön!",
            "vielen Dank",
            "merci beaucoup",
            "d\u2019accord",
            "muchas gracias",
            "ありがとうございます!",
            "了解です",
        ),
    ],
)
def test_knows_a_pleasantry(text):
    assert is_pleasantry(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "...",
        "ok?",
        "ok do it",
        "no thanks",
        "thanks, and in French?",
        "nice try",
        "42",
        "👍 go",
        "ありがとう、でも\uff1f",
    ],
)
def test_takes_any_other_word_and_any_question_for_more_than_a_pleasantry(text):
    assert not is_pleasantry(text)
