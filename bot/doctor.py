"""`python -m bot doctor`: checks what Bobbin needs, and says the next step where something is missing."""

import asyncio
import json
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NoReturn

from bot import bedrock_doctor, running
from bot.bedrock import Guardrail
from bot.checks import Check, Clock, Outcome, wrong_settings
from bot.errors import BadConfiguration, StoreError
from bot.settings import Settings
from bot.slack import doctor as slack_doctor
from bot.slack import http_doctor
from bot.telemetry import masked
from storage import doctor as storage_doctor
from storage import spending

_SECONDS = 8.0
"""Whoever has not answered by then is told as hanging; with the start of the process it makes ten."""

_WARN = 0.8
"""From this part of the budget on."""


async def doctor(*, as_json: bool) -> NoReturn:
    """Check everything at once, print what was found, and end the process: 1 where something failed."""
    if sys.stderr.isatty():
        print(f"Asking Slack, AWS and the database: {_SECONDS:g} seconds at most.", file=sys.stderr)  # noqa: T201  for who waits
    checks = await examine()
    failed = any(check.outcome == "failed" for check in checks)
    if as_json:
        listed = [asdict(check) for check in checks]
        report = json.dumps({"ok": not failed, "checks": listed}, indent=2, ensure_ascii=False)
    else:
        report = table(checks)
    print(report, flush=True)  # noqa: T201  the command's result
    # At once: a name that does not resolve, a disk that hangs keep a thread, and Python would wait for it.
    os._exit(int(failed))


async def examine() -> list[Check]:
    """Check everything. What is wrong is in the checks: nothing is raised."""
    clock = Clock()
    settings, slack, checks = _settings()
    running: dict[str, asyncio.Task[list[Check]]] = {}

    def run(name: str, work: Coroutine[Any, Any, list[Check]]) -> None:
        running[name] = asyncio.create_task(work)

    if settings is not None:
        if slack:
            run("slack", _slack(settings, clock))
        run("aws", _aws(settings, clock))
        run("database", _database(settings))
    if running:
        await asyncio.wait(running.values(), timeout=_SECONDS)
    for name in ("slack", "aws", "database"):
        checks += _found(name, running.get(name))
    return [_harmless(check) for check in [*checks, clock.check()]]


def table(checks: Sequence[Check]) -> str:
    """Return one line for each check, and one for each next step."""
    name, outcome = (
        max(map(len, column)) for column in zip(*((c.name, c.outcome) for c in checks), strict=True)
    )
    lines = []
    for check in checks:
        lines.append(f"{check.outcome:<{outcome}}  {check.name:<{name}}  {check.found}".rstrip())
        if check.todo:
            lines.append(f"{'':<{outcome}}  → {check.todo}")
    counts = Counter(check.outcome for check in checks)
    kinds: tuple[Outcome, ...] = ("ok", "warning", "failed", "skipped")
    lines += ["", ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind])]
    return "\n".join(lines)


def _settings() -> tuple[Settings | None, bool, list[Check]]:
    """Return the settings as far as they can be used, whether Slack's tokens can, and what is wrong."""
    try:
        return Settings.load(), True, [Check("settings", "ok", "all of them can be read")]
    except BadConfiguration as error:
        checks = wrong_settings(error.problems)
    try:
        return Settings.load(need_slack=False), False, checks
    except BadConfiguration:
        return None, False, checks


def _found(name: str, task: asyncio.Task[list[Check]] | None) -> list[Check]:
    if task is None:
        return [Check(name, "skipped", "the settings above come first")]
    if not task.done():
        todo = "look at what lies between: the network, a proxy, DNS, the disk"
        return [Check(name, "failed", f"no answer within {_SECONDS:g} seconds", todo)]
    if error := task.exception():
        return [
            Check(name, "failed", f"{type(error).__name__}: {error}", "this is a fault of Bobbin: report it")
        ]
    return task.result()


async def _slack(settings: Settings, clock: Clock) -> list[Check]:
    app_token = settings.slack_app_token
    checks = await slack_doctor.examine(
        bot_token=settings.slack_bot_token.get_secret_value(),
        app_token=app_token.get_secret_value() if app_token else None,
        api_url=settings.slack_api_url,
        clock=clock,
    )
    secret = settings.slack_signing_secret
    if not settings.http_mode or secret is None:
        return checks
    return [
        *checks,
        *await http_doctor.examine(secret.get_secret_value(), settings.host, settings.served_port or 0),
    ]


async def _aws(settings: Settings, clock: Clock) -> list[Check]:
    rail = settings.bedrock_guardrail_id
    return await bedrock_doctor.examine(
        settings.bedrock_model_id,
        region=settings.region,
        family=settings.model_family,
        effort=settings.thinking_effort,
        guardrail=Guardrail(rail, settings.bedrock_guardrail_version) if rail else None,
        clock=clock,
    )


async def _database(settings: Settings) -> list[Check]:
    """One after the other: they open the same file."""
    url = settings.database_url
    checks = await storage_doctor.examine(url)
    host, port, by_requests = settings.host, settings.served_port, settings.http_mode
    told = await running.examine(url, host, port, by_requests=by_requests)
    return [*checks, told, await _budget(settings)]


async def _budget(settings: Settings) -> Check:
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    try:
        rows = await spending(settings.database_url, "day", int(month.timestamp() * 1000))
    except (BadConfiguration, StoreError) as error:
        return Check("budget", "skipped", str(error))
    spent, cap = sum(row.micro_usd for row in rows) / 1_000_000, settings.budget_team_monthly_usd
    if cap is None:
        return Check("budget", "ok", f"{spent:.2f} USD spent this month; no cap")
    found = f"{spent:.2f} of {cap:.2f} USD spent this month"
    if spent < _WARN * float(cap):
        return Check("budget", "ok", found)
    todo = "raise BUDGET_TEAM_MONTHLY_USD, or wait for the next month (UTC)"
    if spent < cap:
        return Check("budget", "warning", found, todo)
    return Check("budget", "failed", f"{found}: nobody is answered", todo)


def _harmless(check: Check) -> Check:
    """No secret, no control character, no end of a line: what others wrote is among the words."""
    found, todo = (
        "".join(letter if letter.isprintable() else " " for letter in masked(words))
        for words in (check.found, check.todo)
    )
    return Check(check.name, check.outcome, textwrap.shorten(found, 600), todo)
