import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import StoreUnavailable
from bot.telemetry import _PLAINLY_NONE, _SECRETS, configure_logging, masked, secrets_of


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    root, before = logging.getLogger(), {}
    handlers = root.handlers[:]
    for name in (None, "bot", "storage", "__main__"):
        before[name] = logging.getLogger(name).level
    yield
    root.handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("DEBUG", "json", stream)
    return stream


def only(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_a_line_has_its_event_its_values_its_level_and_its_place(lines: io.StringIO):
    structlog.get_logger("bot.turns").info("turn answered", turn=3, seconds=0.5)
    line = only(lines)
    assert (line["event"], line["turn"], line["seconds"]) == ("turn answered", 3, 0.5)
    assert (line["level"], line["logger"]) == ("info", "bot.turns")


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-123-456-AbC",
        "xoxe.xoxb-1-abc",
        "xapp-1-A01-2-ffff",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLE9KE",
    ],
)
def test_a_secret_never_reaches_the_log(lines: io.StringIO, secret: str):
    log = structlog.get_logger("bot.x")
    said = f"said {secret}."
    log.info(said)
    log.info("value", key=secret, keys=[secret], error=ValueError(secret))
    log.info("header", authorization=f"Bearer {secret}")
    log.error("raised", exc_info=RuntimeError(secret))
    logging.getLogger("aiohttp.client").warning("foreign %s", secret)
    assert secret not in lines.getvalue()
    assert lines.getvalue().count("[secret]") >= 4


@given(st.from_regex(_PLAINLY_NONE, fullmatch=True))
def test_what_is_not_searched_holds_nothing_that_looks_like_a_secret(text: str):
    assert not _SECRETS.search(text)


@pytest.mark.parametrize("secret", ["xoxb-1", "xapp-1"])
def test_the_shortest_secrets_are_masked(secret: str):
    assert masked(secret) == "[secret]"


def test_a_bearer_token_and_a_socket_ticket_are_masked():
    assert masked("Bearer abc.DEF-1") == "Bearer [secret]"
    assert masked("wss://x/link/?ticket=1-2-3&app_id=A1") == "wss://x/link/?ticket=[secret]&app_id=A1"


def test_ids_hashes_and_paths_are_left_whole():
    for text in (
        "1782770400.000100",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "/srv/bobbin/data/bobbin.db",
    ):
        assert masked(text) == text


@pytest.mark.parametrize("name", ["text", "body", "payload", "blocks"])
def test_what_people_write_is_not_logged_by_mistake(lines: io.StringIO, name: str):
    structlog.get_logger("bot.x").info("kept", **{name: "their words"})
    assert only(lines)[name] == "[not logged]"


def test_slacks_libraries_lose_what_they_quote(lines: io.StringIO):
    logging.getLogger("slack_bolt.AsyncApp").warning("Unhandled request (%s)", {"text": "their words"})
    assert only(lines)["event"] == "Unhandled request"


def test_an_exception_of_slacks_libraries_is_named_and_not_quoted(lines: io.StringIO):
    error = RuntimeError("their words")
    logging.getLogger("slack_sdk.web").error("Failed to send a request: {}", exc_info=error)
    line = only(lines)
    assert line["event"] == "Failed to send a request"
    assert line["exception"].endswith("builtins.RuntimeError")
    assert "their words" not in lines.getvalue()


def test_libraries_are_heard_from_warnings_on_even_where_they_set_their_own_level(lines: io.StringIO):
    talkative = logging.getLogger("slack_sdk.talkative")
    talkative.setLevel(logging.DEBUG)
    talkative.info("their words")
    talkative.warning("careful")
    assert only(lines)["event"] == "careful"


def test_below_the_level_nothing_is_written():
    stream = io.StringIO()
    configure_logging("ERROR", "json", stream)
    structlog.get_logger("bot.x").warning("no")
    logging.getLogger("asyncio").warning("no")
    logging.getLogger("storage.x").error("yes")
    assert only(stream)["event"] == "yes"


def test_no_line_can_be_forged_on_the_console():
    stream = io.StringIO()
    configure_logging("INFO", "console", stream)
    log = structlog.get_logger("bot.x")
    log.info("said\n2026 [info] forged", name="a\nforged \x1b[31m")
    log.error("raised", exc_info=RuntimeError("first\nforged"))
    assert not any(line.startswith(("2026 [info]", "forged")) for line in stream.getvalue().splitlines())
    assert "\x1b" not in stream.getvalue()


def test_a_traceback_shows_no_local_variables():
    stream = io.StringIO()
    configure_logging("INFO", "console", stream)

    def fail(words: str) -> None:
        raise RuntimeError(len(words))

    theirs = "their words"
    with pytest.raises(RuntimeError) as raised:
        fail(theirs)
    structlog.get_logger("bot.x").error("raised", exc_info=raised.value)
    assert "in fail\n  builtins.RuntimeError\n" in stream.getvalue()
    assert "their words" not in stream.getvalue()


def test_an_error_names_itself_what_it_came_from_and_only_bobbins_own_says_more(lines: io.StringIO):
    try:
        try:
            int("their words")
        except ValueError as cause:
            raise StoreUnavailable("the disk is full") from cause
    except StoreUnavailable as error:
        structlog.get_logger("bot.x").error("raised", exc_info=error, error=ValueError("their words"))
    logged = lines.getvalue()
    assert "builtins.ValueError" in logged
    assert "bot.errors.StoreUnavailable: the disk is full" in logged
    assert only(lines)["error"] == "ValueError"
    assert "their words" not in logged


async def test_what_asyncio_says_of_a_broken_task_quotes_nothing(lines: io.StringIO):
    async def breaks() -> None:
        raise ValueError("their words")

    task = asyncio.create_task(breaks())
    await asyncio.wait({task})
    context = {"message": "Task exception was never retrieved", "future": task, "exception": task.exception()}
    asyncio.get_running_loop().call_exception_handler(context)
    assert only(lines)["event"] == "Task exception was never retrieved"
    assert "their words" not in lines.getvalue()


def test_a_secret_that_looks_like_none_is_masked_by_its_value():
    stream = io.StringIO()
    environ = {
        "AWS_SECRET_ACCESS_KEY": "correct horse",
        "HTTPS_PROXY": "http://ann:proxy-password@proxy:3128",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=collector-key,x=y",
    }
    database = "postgres://bobbin:p%40ss-of-the-database@db/bobbin"
    configure_logging("INFO", "json", stream, secrets=secrets_of(environ, ["a-signing-secret", database]))
    hidden = ["correct horse", "proxy-password", "collector-key", "p%40ss-of-the-database"]
    hidden += ["p@ss-of-the-database", "a-signing-secret"]
    for secret in hidden:
        structlog.get_logger("bot.x").info(f"said {secret}", value=f"<{secret}>")
    assert not [secret for secret in hidden if secret in stream.getvalue()]
    configure_logging("INFO", "json", stream)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("postgres://ann:hidden@db/bobbin", "postgres://[secret]@db/bobbin"),
        ("host=db password=hidden user=ann", "host=db password=[secret] user=ann"),
        ("https://x/y?X-Amz-Signature=hidden&a=1", "https://x/y?X-Amz-Signature=[secret]&a=1"),
        ("https://hooks.slack.com/actions/T1/2/hidden", "https://hooks.slack.com/[secret]"),
        ("https://files.slack.com/upload/v1/hidden", "https://files.slack.com/upload/[secret]"),
        (
            "https://files.slack.com/f.png?pub_secret=hidden",
            "https://files.slack.com/f.png?pub_secret=[secret]",
        ),
        ("Authorization: Basic aGlkZGVu", "Authorization: Basic [secret]"),
        ("{'Authorization': 'Basic aGlkZGVu'}", "{'Authorization': 'Basic [secret]'}"),
        ("on the page Basic Information", "on the page Basic Information"),
        ("key ABSKhidden0123456789abcdef= used", "key [secret] used"),
    ],
)
def test_passwords_and_signatures_in_addresses_are_masked(text: str, rest: str):
    assert masked(text) == rest


def test_without_a_format_a_terminal_gets_words_and_a_pipe_gets_json():
    stream = io.StringIO()
    configure_logging("INFO", stream=stream)
    structlog.get_logger("bot.x").info("piped")
    assert only(stream)["event"] == "piped"
