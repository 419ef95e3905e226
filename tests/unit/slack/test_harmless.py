"""The model's Markdown made harmless, whole and while it streams."""

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.slack.text import Links, Outgoing, harmless

J = "\u2060"
NAMES = {"U1": "Ann Lee", "U2": "<!here>\n`x` here", "U3": "channel"}
LINKS = Links({"https://wrote.com/?x=1&y=2", "http://10.0.0.1/x"}, {"good.org"})
LONG = "a" * 101


def safe(text: str) -> str:
    return harmless(text, NAMES, LINKS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("hi <!channel> <!here|x>", f"hi <{J}!channel> <{J}!here|x>", id="special mentions"),
        pytest.param("<!subteam^S1|@g> <#C1|g>", f"<{J}!subteam^S1|@g> <{J}#C1|g>", id="groups and channels"),
        pytest.param(
            "&lt;!channel&gt; &#60;@U1>", f"&lt;{J}!channel&gt; &#60;{J}@U1>", id="spelled as entities"
        ),
        pytest.param("<@U1> <@U1|x> <@U9>", f"@Ann Lee @Ann Lee @{J}U9", id="people"),
        pytest.param("<@U2> <@U3>", f"@{J}here x here @{J}channel", id="people with names that attack"),
        pytest.param("@here @Channel @everyone @ann", f"@{J}here @{J}Channel @{J}everyone @ann", id="plain"),
        pytest.param("`<@U1>` and `a < b`", f"`<{J}@U1>` and `a < b`", id="inline code"),
        pytest.param("```\n<!here> a<b>\n```", f"```\n<{J}!here> a<b>\n```", id="fenced code"),
        pytest.param("a < b <= c, <b>bold</b>", f"a < b <{J}= c, <{J}b>bold<{J}/b>", id="HTML"),
    ],
)
def test_mentions_and_tags_never_pass(text, shown):
    assert shown == safe(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("[x](https://e.com/p)", "[x](https://e.com/p) (e.com)", id="shows its host"),
        pytest.param("[on e.com](https://e.com/p)", "[on e.com](https://e.com/p)", id="label has the host"),
        pytest.param("[bank.com](https://e.com)", "[e.com](https://e.com)", id="label names another host"),
        pytest.param(
            "[https://bank.com/x y](https://e.com)", "[e.com](https://e.com)", id="label is an address"
        ),
        pytest.param(
            "[x](https://e.com/p?q=1#f)", "[x](https://e.com/p) (e.com)", id="query and fragment cut"
        ),
        pytest.param(
            "[x](https://e.com/p&quest;q=1)", "[x](https://e.com/p) (e.com)", id="a spelled-out query"
        ),
        pytest.param("[x](https://e.com/p 'title')", "[x](https://e.com/p) (e.com)", id="title dropped"),
        pytest.param(
            "[`f()`](https://e.com/a_(b))", "[`f()`](https://e.com/a_%28b%29) (e.com)", id="code label"
        ),
        pytest.param("[x](https://a@e.com/)", "x (`a@e.com/`)", id="userinfo"),
        pytest.param("[x](http://1.2.3.4/p)", "x (`1.2.3.4/p`)", id="IP host"),
        pytest.param("[x](http://0x7f.1/p)", "x (`0x7f.1/p`)", id="IP host in disguise"),
        pytest.param("[x](https://xn--e1.com)", "x (`xn--e1.com`)", id="punycode"),
        pytest.param("[x](https://е.com)", "x (`е.com`)", id="non-ASCII host"),  # noqa: RUF001 - Cyrillic
        pytest.param("[x](https://e.com:80:8/)", "x (`e.com:80:8/`)", id="port trick"),
        pytest.param(f"[x](https://e.com/{LONG})", f"x (`e.com/{LONG}`)", id="long path"),
        pytest.param("[x](javascript:alert(1))", "x (`javascript:alert(1)`)", id="scheme"),
        pytest.param("[x](slack://user?id=U1)", f"x (`slack:{J}//user?id=U1`)", id="Slack's own scheme"),
        pytest.param("f[x](y) [z](/a)", f"f[x]{J}(y) [z]{J}(/a)", id="no scheme, no link"),
        pytest.param("![pic](https://e.com/a.png)", "[pic](https://e.com/a.png) (e.com)", id="image"),
        pytest.param("![](https://e.com/a.png?q)", "[e.com/a.png](https://e.com/a.png)", id="image, no text"),
        pytest.param("[x](mailto:a@e.com?body=b)", "[x](mailto:a@e.com) (a@e.com)", id="mail"),
        pytest.param("<https://e.com/p?q>", "[e.com/p](https://e.com/p)", id="autolink"),
        pytest.param("<https://e.com|my bank>", "[my bank](https://e.com) (e.com)", id="Slack's own link"),
        pytest.param("see https://e.com/p?q=1, ok", "see https://e.com/p, ok", id="bare"),
        pytest.param("(**https://e.com**)", "(**https://e.com**)", id="bare, in marks"),
        pytest.param("https://a@e.com/x", "`a@e.com/x`", id="bare, not allowed"),
        pytest.param("見てhttps://e.com/aを", "見てhttps://e.com/a を", id="bare, no spaces"),
        pytest.param("|https://e.com|b|", "|https://e.com |b|", id="bare, in a table"),
        pytest.param("e.com/?q=1 a.md#b c.py? d.js/e", "`e.com/?q=1` `a.md#b` c.py? d.js/e", id="no scheme"),
        pytest.param("[r][r]\n[r]: https://e.com/?q", f"[r][r]\n[r]{J}: https://e.com/", id="reference"),
        pytest.param(
            "[[x](https://e.com)", "[[x](https://e.com) (e.com)".replace("[[", f"[{J}["), id="nested"
        ),
        pytest.param("https://wrote.com/?x=1&y=2", "https://wrote.com/?x=1&y=2", id="a person wrote it"),
        pytest.param("[x](http://10.0.0.1/x)", "[x](http://10.0.0.1/x) (10.0.0.1)", id="a person wrote that"),
        pytest.param("https://a.good.org/?q=1", "https://a.good.org/?q=1", id="trusted host"),
        pytest.param("https://notgood.org/?q=1", "https://notgood.org/", id="not quite the trusted host"),
        pytest.param("`https://e.com?q`", "`https://e.com?q`", id="code stays"),
    ],
)
def test_links_are_shown_for_what_they_are(text, shown):
    assert shown == safe(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(
            "- [x] done, arr[0], AT&T, R&amp;D", f"- [x] done, arr[0], AT&T, R&amp;{J}D", id="prose"
        ),
        pytest.param(
            "1. a\n   ```py\n   x\n     y\n   ```\nz", "1. a\n```py\nx\n  y\n```\nz", id="in a list"
        ),
        pytest.param("> ```\n> x\n> ```", "```\nx\n```", id="in a quote"),
        pytest.param("- ```py\n  x\n  ```", "-\n```py\nx\n```", id="after a list marker"),
        pytest.param("~~~js\n```\n~~~", f"```js\n{J}```\n```", id="tildes"),
        pytest.param("````\n```\n````\nx", "````\n```\n````\nx", id="a fence within a fence"),
        pytest.param("```py\nx", "```py\nx\n```", id="never closed"),
        pytest.param("an `open\nnext", "an `open`\nnext", id="inline code never closed"),
        pytest.param(f"`{'x ' * 300}", f"\u02cb{'x ' * 300}", id="inline code too long to wait for its end"),
        pytest.param("a `| b`", "a `| b`", id="inline code with a pipe"),
        pytest.param("\\`x", "\u02cbx", id="an escaped backtick opens no code for any reader"),
    ],
)
def test_code_and_prose_stay_readable(text, shown):
    assert shown == safe(text)


@pytest.mark.parametrize(
    ("delta", "shown"),
    [
        ("Hello wor", "Hello "),
        ("Hello world ", "Hello world "),
        ("a < b [la", "a < b "),
        ("hi <!chan", f"hi <{J}"),
        ("hi <@U", "hi "),
        ("see https://e.com/?q", "see "),
        ("x\n```py", "x\n"),
        ("日本", "日本"),
        ("run `cat fi", "run "),
        ("run `cat file`", "run "),
        ("run `cat file` ", "run `cat file` "),
        ("run `cat \n", "run `cat `\n"),
    ],
)
def test_only_an_unfinished_tail_is_held_back(delta, shown):
    assert shown == Outgoing(NAMES, LINKS).feed(delta)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a ` b\nc ` {} ` d", id="inline code over two lines"),
        pytest.param("\\` {} `", id="an escaped backtick"),
        pytest.param("a | b\n---|---\n`x | {} `", id="a table cell ends within inline code"),
        pytest.param("a | b\n---|---\n`x | [ ` [[x] https://b.com]({}) | c", id="and a label begins in it"),
        pytest.param("> ```\n{}", id="a quote ends a fence"),
        pytest.param("- a\n  ```\n{}", id="a list item ends a fence"),
        pytest.param("a\n    ```\n    {}", id="an indented line goes on with the paragraph"),
        pytest.param("~~~\n```\n~~~\n{}\n```", id="a fence of tildes"),
        pytest.param("```\n ``` x\n```\n{}", id="a fence with words does not end one"),
        pytest.param("][(x)](javascript:a) ![y][z] {}\n\n[z]: {}", id="references"),
    ],
)
def test_readers_agree_on_what_is_code(text):
    for link in ("[x](https://evil.com/?q=s)", "https://evil.com/?q=s", "![x](https://evil.com/?q=s)"):
        assert all("?" not in href for href in hrefs(safe(text.replace("{}", link))))


@pytest.mark.parametrize(
    "token", ["[", "[a](", "<https://", "https://a.com/", "`", "&lt;", "a", "<@U", "~", "!["]
)
def test_what_never_ends_is_let_go(token):
    outgoing = Outgoing()
    assert len(outgoing.feed(token * 5000)) > len(token) * 5000 - 2100


PIECES = [
    *"<>!@#|[]()&;:/?.=`~\\ \n-*_\"'",
    *(
        "https://",
        "http://",
        "mailto:",
        "javascript:",
        "evil.com",
        "/?q=secret",
        "a@",
        "1.2.3.4",
        "xn--a.com",
    ),
    *(
        "<!channel>",
        "<@U1>",
        "<@U2|x>",
        "<#C1|g>",
        "&lt;",
        "&gt;",
        "&#60;",
        "&colon;",
        "@here",
        "@channel",
        "](",
        "]:",
    ),
    *(
        "[x](https://evil.com/?q=s)",
        "![x](https://evil.com/?q=s)",
        "<https://evil.com/?q|bank.com>",
        "[r]: ",
        "[r]",
    ),
    *(
        "```",
        "```py\n",
        "\n```\n",
        "~~~",
        "    ",
        "- ",
        "> ",
        "1. ",
        "| a | b |\n|---|---|\n| ",
        "word",
        "é",
        "日",
        "`` ",
    ),
    *("https://evil.com/" + LONG, "\r", "\t", "\u200b", "&amp;", "slack://x"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@st.composite
def deltas(draw):
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=40)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@settings(max_examples=200, deadline=None)
@given(deltas())
def test_any_cutting_into_deltas_gives_the_same_text(parts):
    outgoing = Outgoing(NAMES, LINKS)
    assert safe("".join(parts)) == "".join(map(outgoing.feed, parts)) + outgoing.close()


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_letter_by_letter_gives_the_same_text(text):
    outgoing = Outgoing(NAMES, LINKS)
    assert safe(text) == "".join(map(outgoing.feed, text)) + outgoing.close()


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_no_mention_is_ever_live(text):
    shown = safe(text)
    for level in (shown, html.unescape(shown)):
        assert not re.search(r"<[!@#]|<(?:https?://|mailto:)[^\s>]*\|", level)
    assert not re.search(r"(?<![\w/])@(?:here|channel|everyone)", "".join(prose(shown)))


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_no_link_ever_carries_anything_out(text):
    shown = safe(text)
    for href in hrefs(shown):
        assert re.fullmatch(
            r"https?://(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*(?::\d+)?(?:/[^?#&;\\]{0,300})?|mailto:[\w.+@-]+", href
        )
        assert not re.search(r"[/.]xn--", href)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["<!here>", "<b>", "a < b", "@here", " ", "\n", "`", "word", "```\n", "- ", "|"])
    ).map("".join)
)
def test_what_is_harmless_stays_as_it_is(text):
    assert safe(text) == safe(safe(text))


def tokens(shown: str) -> list[Token]:
    """Read the text as an independent reader of Markdown does."""
    found: list[Token] = []
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(shown):
        found += token.children or [token]
    return found


def prose(shown: str) -> list[str]:
    return [token.content for token in tokens(shown) if token.type == "text"]


def hrefs(shown: str) -> list[str]:
    """Return all that can be clicked or is fetched; nothing in it may be an image or HTML."""
    found = []
    for token in tokens(shown):
        assert token.type not in {"image", "html_inline", "html_block"}
        if token.type == "link_open":
            found.append(str(token.attrs["href"]))
        elif token.type == "text":
            found += [
                url.rstrip(".,;:!?'\"*_~)]}")
                for url in re.findall(r"https?://[a-z0-9@][^\s<>|`\u2060]*", token.content)
            ]
    return found
