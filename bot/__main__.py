"""python -m bot [serve | sandbox | doctor | manifest | usage | why | export | erase | backup | copy | …]."""

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bot.errors import BadConfiguration, BobbinError, StoreForeign
from bot.places import Place, place
from bot.settings import Settings
from bot.telemetry import configure_logging

BAD_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h."""

# Each command imports what it needs: no other one waits for Slack's and AWS's libraries.


def main() -> int:
    """Run one command. 0 at its end (or after SIGTERM, SIGINT), 78 for bad configuration, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m bot", description="Claude on Amazon Bedrock in Slack threads."
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("serve", help="answer in Slack (the default)")
    sandbox = commands.add_parser(
        "sandbox", help="try Bobbin without Slack and AWS, on a page of this machine"
    )
    sandbox.add_argument(
        "--http", action="store_true", help="deliver by requests, as Slack does in HTTP mode"
    )
    doctor = commands.add_parser("doctor", help="check the settings, Slack, AWS and the database")
    doctor.add_argument("--json", action="store_true", help="for a machine")
    printed = commands.add_parser("manifest", help="print the manifest of the Slack app")
    printed.add_argument("--http", metavar="URL", default="", help="of an app in HTTP mode, reached there")
    usage = commands.add_parser("usage", help="tell what was spent on the model")
    usage.add_argument("--by", choices=("user", "channel", "model", "day"), default="day")
    usage.add_argument("--since", default="month", metavar="YYYY-MM-DD|7d|month", help="in UTC")
    usage.add_argument("--csv", action="store_true", help="for a spreadsheet")
    why = commands.add_parser("why", help="tell what became of a message or an answer, and why")
    why.add_argument("what", metavar="T42|PERMALINK|CHANNEL/TS", help="an error's id, or a message")
    why.add_argument("--json", action="store_true", help="for a machine")
    _upkeep_parsers(commands)
    arguments = parser.parse_args()
    command = arguments.command or "serve"
    try:
        if command == "usage":
            return _usage(usage, arguments)
        if command == "why":
            return _why(why, arguments)
        if command == "doctor":
            return _doctor(arguments)
        if command == "manifest":
            return _manifest(printed, arguments.http)
        if command in _UPKEEP:
            return _UPKEEP[command](arguments)
        return _serve() if command == "serve" else _sandbox(sandbox, by_requests=arguments.http)
    except (BadConfiguration, StoreForeign) as error:
        problems = error.problems if isinstance(error, BadConfiguration) else [f"DATABASE_URL: {error}"]
        does = "start" if command in ("serve", "sandbox") else "do this"
        print(f"Bobbin cannot {does} with these settings:", *problems, sep="\n  ", file=sys.stderr)  # noqa: T201  what a person reads
        return BAD_CONFIGURATION
    except BobbinError as error:
        print(f"Bobbin stops: {error}", file=sys.stderr)  # noqa: T201  what a person reads
        return 1


def _upkeep_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add what an operator does with what Bobbin keeps."""
    export = commands.add_parser("export", help="print a thread as it is kept")
    export.add_argument("--thread", required=True, type=_place, metavar="PERMALINK|CHANNEL/TS")
    export.add_argument("--team", default="", metavar="ID", help="where the database knows several")
    form = export.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="for people (the default)")
    form.add_argument("--json", action="store_true", help="for a machine")
    erase = commands.add_parser(
        "erase",
        help="erase a person's data, a thread or a workspace, for good",
        description="Says what would be erased; --yes does it. A running Bobbin, which alone may write to "
        "its file, is given the order and carries it out within seconds. What stands in Slack stays "
        "there; backups keep what they hold.",
    )
    erase.add_argument("--user", default="", metavar="ID", help="all that is kept of somebody")
    erase.add_argument("--thread", type=_place, metavar="PERMALINK|CHANNEL/TS", help="a thread")
    erase.add_argument(
        "--team", default="", metavar="ID", help="the whole workspace; with --user or --thread: theirs"
    )
    erase.add_argument("--yes", action="store_true", help="do it")
    backup = commands.add_parser("backup", help="copy the database into a new file, beside a running Bobbin")
    backup.add_argument("path", type=Path)
    restore = commands.add_parser(
        "restore",
        help="put a backup in the place of the database, while no Bobbin runs",
        description="Checks the backup first. Refuses beside a running Bobbin; over a database that holds "
        "something it wants --yes. What was erased or deleted since the backup is erased in it again.",
    )
    restore.add_argument("path", type=Path)
    restore.add_argument("--yes", action="store_true", help="also over a database that holds something")
    copy = commands.add_parser(
        "copy",
        help="copy the database into another one, of SQLite or PostgreSQL, while no Bobbin runs",
        description="Copies every row, then reads both databases and compares them. Broken off, it goes on "
        "where it was when the same command is given again; until it is done no Bobbin starts on the copy. "
        "What is copied stays as it is.",
    )
    copy.add_argument("--from", dest="source", required=True, metavar="URL", help="what is copied")
    copy.add_argument(
        "--to", default="", metavar="URL", help="an empty database (by default the one of DATABASE_URL)"
    )
    commands.add_parser("migrate", help="bring the database to this version's schema")


def _place(words: str) -> Place:
    try:
        return place(words)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _url() -> str:
    configure_logging("WARNING", "console")
    return Settings.load(need_slack=False).database_url


def _export(arguments: argparse.Namespace) -> int:
    from bot.export import export  # noqa: PLC0415

    return _printed(export(_url(), arguments.thread, team=arguments.team, as_json=arguments.json))


def _erase(arguments: argparse.Namespace) -> int:
    from bot.upkeep import erase  # noqa: PLC0415

    user, thread, team = arguments.user, arguments.thread, arguments.team
    if bool(user) + bool(thread) > 1 or not (user or thread or team):
        raise BobbinError("name what is to be erased: --user ID, --thread PERMALINK|CHANNEL/TS or --team ID")
    return _printed(erase(_url(), user=user, thread=thread, team=team, sure=arguments.yes))


def _backup(arguments: argparse.Namespace) -> int:
    from bot.upkeep import back_up  # noqa: PLC0415

    return _printed(back_up(_url(), arguments.path))


def _restore(arguments: argparse.Namespace) -> int:
    from bot.upkeep import restore  # noqa: PLC0415

    return _printed(restore(_url(), arguments.path, sure=arguments.yes))


def _copy(arguments: argparse.Namespace) -> int:
    from bot.upkeep import copy  # noqa: PLC0415

    configure_logging("WARNING", "console")
    return _printed(copy(arguments.source, arguments.to or _url()))


def _migrate(_: argparse.Namespace) -> int:
    from bot.upkeep import migrate  # noqa: PLC0415

    return _printed(migrate(_url()))


_UPKEEP = {
    "export": _export,
    "erase": _erase,
    "backup": _backup,
    "restore": _restore,
    "copy": _copy,
    "migrate": _migrate,
}


def _printed(work: Coroutine[Any, Any, str]) -> int:
    print(asyncio.run(work))  # noqa: T201  the command's result
    return 0


def _serve() -> int:
    from bot.app import aws_problems, serve  # noqa: PLC0415

    try:
        settings = Settings.load()
    except BadConfiguration as error:
        raise BadConfiguration([*error.problems, *asyncio.run(aws_problems())]) from error
    configure_logging(settings.log_level, settings.log_format, secrets=settings.secrets())
    try:
        asyncio.run(serve(settings))
    except BobbinError:
        raise
    except Exception:  # noqa: BLE001  what the interpreter would print may quote anything
        structlog.get_logger("bot").critical("a fault of Bobbin: it stops", exc_info=True)
        return 1
    return 0


def _sandbox(parser: argparse.ArgumentParser, *, by_requests: bool) -> int:
    from bot.sandbox.command import run  # noqa: PLC0415

    settings = Settings.load(need_slack=False)
    if by_requests and settings.sandbox_model != "scripted":
        parser.error("--http goes with SANDBOX_MODEL=scripted: your .env may name an app token")
    configure_logging(settings.log_level, settings.log_format)
    asyncio.run(run(port=settings.sandbox_port, model=settings.sandbox_model, by_requests=by_requests))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from bot.doctor import doctor  # noqa: PLC0415

    configure_logging("ERROR", "console")
    return asyncio.run(doctor(as_json=arguments.json))


def _usage(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from bot.usage import moment, usage  # noqa: PLC0415

    try:
        since = moment(arguments.since)
    except ValueError:
        parser.error("--since takes a day (2026-11-01), a number of days (7d) or: month")
    url = Settings.load(need_slack=False).database_url
    print(asyncio.run(usage(url, by=arguments.by, since=since, as_csv=arguments.csv)))  # noqa: T201  the command's result
    return 0


def _why(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from bot.slack.presence import absence  # noqa: PLC0415
    from bot.why import Unclear, why  # noqa: PLC0415

    try:
        settings = Settings.load()
        absent = partial(absence, settings.slack_bot_token.get_secret_value(), settings.slack_api_url)
    except BadConfiguration:
        settings, absent = Settings.load(need_slack=False), None
    work = why(settings.database_url, arguments.what, as_json=arguments.json, absence=absent)
    try:
        report, found = asyncio.run(work)
    except Unclear as error:
        parser.error(str(error))
    print(report)  # noqa: T201  the command's result
    return 0 if found else 1


def _manifest(parser: argparse.ArgumentParser, address: str) -> int:
    from bot.slack.manifest import manifest, request_url  # noqa: PLC0415

    try:
        url = request_url(address) if address else ""
    except ValueError:
        parser.error("--http takes the public https address, for example https://bobbin.example.com")
    print(json.dumps(manifest(url), indent=2, ensure_ascii=False))  # noqa: T201  the command's result
    return 0


if __name__ == "__main__":
    sys.exit(main())
