"""What the process books, beside what Bedrock counted; and `python -m bot usage`, which tells it."""

import csv
import io
from collections.abc import Callable

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.books import agree, billed, books, spend
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene
from tests.e2e.test_crashes import LONG


async def tell(bobbin: Bobbin, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run `python -m bot usage` with Bobbin's settings: exit code, output, errors."""
    return await bobbin.ran("usage", *arguments, **settings)


async def test_answers_are_booked_as_bedrock_counted_them(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    await scene.say("And on?", thread=thread)
    await scene.answered(thread, 2)
    assert await agree(bobbin) == (2, 0)
    assert all(row.micro_usd > 0 for row in await books(bobbin))


async def test_a_silent_turn_costs_what_it_costs(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    await scene.say("Ann, say exactly: [[silent]]", by=scene.ben, thread=thread)
    await scene.bedrock.wait_for(lambda _: len(scene.requests) == 2)
    await scene.heard()
    assert await agree(bobbin) == (3, 0)


async def test_a_stopped_answer_is_estimated(bobbin: Bobbin, slack: Slack, bedrock: Bedrock) -> None:
    scene = Scene(bobbin)
    bedrock.pace = 0.2
    thread = await scene.mention(f"say exactly: {LONG}")
    await slack.wait_for(lambda: slack.calls("chat.appendStream"))
    await scene.say("stop", thread=thread)
    await scene.answered(thread)
    (row,) = await books(bobbin)
    (asked,) = bedrock.requests
    assert (row.state, row.estimated) == ("stopped", 1)
    assert sum(row.tokens[:3]) >= sum(billed(asked)[:3])
    assert row.output > 0


async def test_tries_that_fail_are_booked_each(bobbin: Bobbin, bedrock: Bedrock) -> None:
    scene = Scene(bobbin)
    bedrock.faults.add("throttled")
    bedrock.faults.add("cut", after_events=6)
    thread = await scene.mention(f"say exactly: {LONG}")
    await scene.answered(thread)
    rows = await books(bobbin)
    assert [(row.state, row.estimated) for row in rows] == [("failed", 0), ("failed", 1), ("done", 0)]
    assert rows[0].tokens == (0, 0, 0, 0)
    assert await agree(bobbin) == (1, 1)


# ---------------------------------------------------------------- the command


async def test_usage_is_told_beside_the_running_process(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    await scene.joined()
    await scene.answered(await scene.mention("And I?", by=scene.ben))
    code, output, _ = await tell(bobbin, "--by", "user")
    assert code == 0
    title, _, headings, ann, ben, total = output.splitlines()
    assert title.startswith("Since ")
    assert headings.split()[:2] == ["user", "calls"]
    assert f"Ann Lee ({scene.ann})" in ann
    assert f"Ben Roe ({scene.ben})" in ben
    spent = [float(line.split()[-1]) for line in (ann, ben, total)]
    assert spent[0] > 0
    assert abs(spent[0] + spent[1] - spent[2]) < 0.0002
    assert total.split()[:2] == ["total", "2"]


async def test_usage_marks_what_is_estimated(bobbin: Bobbin, bedrock: Bedrock) -> None:
    scene = Scene(bobbin)
    await scene.joined()
    bedrock.faults.add("cut", after_events=6)
    thread = await scene.mention(f"say exactly: {LONG}")
    await scene.answered(thread)
    code, output, _ = await tell(bobbin, "--by", "channel")
    assert code == 0
    assert [line.split()[-1][0] for line in output.splitlines()[3:5]] == ["~", "~"]
    assert "~ is partly estimated: 1 calls" in output


async def test_usage_as_csv_is_for_a_spreadsheet(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    eve = scene.slack.add_person("=cmd|calc!A1")
    scene.channel = scene.slack.dm(eve)
    await scene.answered(await scene.say("hi", by=eve))
    code, output, _ = await tell(bobbin, "--by", "user", "--csv")
    assert code == 0
    (row,) = csv.DictReader(io.StringIO(output))
    assert (row["user"], row["name"], row["calls"]) == (eve, "'=cmd|calc!A1", "1")
    assert int(row["micro_usd"]) > 0


async def test_usage_counts_from_the_moment_it_is_told(make: Callable[..., Bobbin]) -> None:
    bobbin = await make().start()
    await spend(bobbin, "U1", 1.5)
    await spend(bobbin, "U1", 2.0, days_ago=3)
    await spend(bobbin, "U1", 4.0, days_ago=60)
    for since, total in (("1d", "1.5000"), ("7d", "3.5000"), ("2020-01-01", "7.5000")):
        code, output, _ = await tell(bobbin, "--by", "model", "--since", since)
        assert code == 0
        assert output.splitlines()[-1].split()[-1] == total
    _, output, _ = await tell(bobbin, "--since", "2099-01-01")
    assert "nothing was spent" in output
    assert await bobbin.stop() == 0
    assert (await tell(bobbin, "--by", "model"))[0] == 0


async def test_usage_says_what_is_wrong(make: Callable[..., Bobbin]) -> None:
    bobbin = make()
    code, output, errors = await tell(bobbin)
    assert (code, output) == (1, "")
    assert "there is no database yet" in errors
    for arguments in (["--since", "yesterday"], ["--since", "2026-13-01"], ["--by", "mood"]):
        code, output, errors = await tell(bobbin, *arguments)
        assert (code, output) == (2, "")
        assert arguments[0] in errors
        assert "Traceback" not in errors
    (bobbin.folder / "bobbin.db").write_text("Dear diary")
    code, output, errors = await tell(bobbin)
    assert (code, output) == (78, "")
    assert "no SQLite database" in errors


async def test_a_stopped_answer_in_a_cached_thread_is_not_booked_at_the_full_price(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined("It goes on. " * 2000)
    bedrock.pace = 0.2
    await scene.say(f"say exactly: {LONG}", thread=thread)
    await slack.wait_for(lambda: slack.calls("chat.appendStream"))
    await scene.say("stop", thread=thread)
    await scene.answered(thread, 2)
    stopped, asked = (await books(bobbin))[-1], bedrock.requests[-1]
    assert (stopped.state, stopped.estimated) == ("stopped", 1)
    assert stopped.cache_read == pytest.approx(billed(asked)[1], rel=0.05)
    assert stopped.cache_write < 1000
