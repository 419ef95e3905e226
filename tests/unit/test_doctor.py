"""The doctor's judgements of what no server can be made to show."""

import asyncio
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from bot import doctor
from bot.checks import Check, Clock, wrong_settings
from storage.doctor import examine, space, sqlite


def test_a_wrong_setting_is_a_failed_check_by_its_name_with_an_example():
    problem = "AWS_REGION: it is missing (where Bedrock is asked); for example AWS_REGION=eu-central-1"
    assert wrong_settings([problem, "AWS: The config profile (x) could not be found"]) == [
        Check(
            "AWS_REGION",
            "failed",
            "it is missing (where Bedrock is asked)",
            "for example AWS_REGION=eu-central-1",
        ),
        Check(
            "AWS",
            "failed",
            "The config profile (x) could not be found",
            "mend it in the environment, .env, or AWS's own files",
        ),
    ]


@pytest.mark.parametrize(
    ("ahead", "outcome", "words"),
    [
        (0, "ok", "within seconds"),
        (90, "warning", "seconds fast"),
        (-90, "warning", "seconds slow"),
        (400, "failed", "seconds fast"),
        (-400, "failed", "seconds slow"),
    ],
)
def test_the_clock_is_judged_by_the_servers_own(ahead: float, outcome: str, words: str):
    clock = Clock()
    clock.note(formatdate(time.time() - ahead, usegmt=True), time.time())
    assert clock.check().outcome == outcome
    assert words in clock.check().found
    assert bool(clock.check().todo) == (outcome != "ok")


def test_one_server_with_a_clock_of_its_own_is_not_believed_against_another():
    clock = Clock()
    clock.note(formatdate(time.time() - 4000, usegmt=True), time.time())
    clock.note(formatdate(time.time(), usegmt=True), time.time())
    assert clock.check().outcome == "ok"


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 24 Nov"])
def test_without_a_time_that_can_be_read_the_clock_is_skipped(date: str):
    clock = Clock()
    clock.note(date, time.time())
    assert clock.check().outcome == "skipped"


@pytest.mark.parametrize(
    ("mib", "outcome"), [(10, "failed"), (63, "failed"), (100, "warning"), (1023, "warning"), (2048, "ok")]
)
def test_a_disk_is_full_before_nothing_is_left(mib: int, outcome: str):
    check = space(Path("/var/lib/bobbin"), mib * 2**20)
    assert check.outcome == outcome
    assert ("/var/lib/bobbin" in check.todo) == (outcome != "ok")


@pytest.mark.parametrize(
    ("version", "outcome"),
    [((3, 40, 1), "warning"), ((3, 51, 2), "warning"), ((3, 51, 3), "ok"), ((3, 52, 0), "ok")],
)
def test_sqlite_is_known_by_its_wal_bug(version: tuple[int, ...], outcome: str):
    assert sqlite(version).outcome == outcome


def test_the_database_of_another_user_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "bobbin.db"
    path.touch()
    monkeypatch.setattr("storage.doctor.os.getuid", lambda: path.stat().st_uid + 1)
    check = asyncio.run(examine(f"sqlite:///{path}"))[0]
    assert (check.name, check.outcome) == ("database", "warning")
    assert "the user that Bobbin runs as" in check.todo
    assert list(tmp_path.iterdir()) == [path]


async def test_what_hangs_is_told_without_waiting_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "_SECONDS", 0.05)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-made-up")
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-made-up")
    never = asyncio.Event()

    async def hang(*_: object) -> list[Check]:
        await never.wait()
        return []

    async def break_down(*_: object) -> list[Check]:
        raise KeyError("xoxb-made-up-secret")

    async def answer(*_: object) -> list[Check]:
        return [Check("database", "ok", "fine\r\n\x1b[31m")]

    monkeypatch.setattr(doctor, "_slack", hang)
    monkeypatch.setattr(doctor, "_aws", break_down)
    monkeypatch.setattr(doctor, "_database", answer)
    found = {check.name: check for check in await doctor.examine()}
    never.set()
    assert found["slack"].outcome == "failed"
    assert "no answer within" in found["slack"].found
    assert found["aws"].outcome == "failed"
    assert "KeyError" in found["aws"].found
    assert "secret" not in found["aws"].found.replace("[secret]", "")
    assert found["database"].found == "fine [31m"


def test_the_table_has_a_line_for_each_check_one_for_each_step_and_a_sum():
    checks = [
        Check("slack bot token", "ok", "bobbin in Acme"),
        Check("model answers", "failed", "no access", "allow it"),
    ]
    assert doctor.table(checks).splitlines() == [
        "ok      slack bot token  bobbin in Acme",
        "failed  model answers    no access",
        "        → allow it",
        "",
        "1 ok, 1 failed",
    ]
