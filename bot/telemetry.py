"""Logs: one line an event, for people or for machines, without secrets and without what people write.

Modules call `structlog.get_logger(__name__)`; ids, sizes and durations are values, the event is a constant
phrase. Libraries log through the same handler, at WARNING and above only: below, they print messages. What
they put into their lines, and what errors that are not Bobbin's own say, is left out: it may quote anything.
"""

import logging
import re
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, TextIO
from urllib.parse import unquote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.errors import BobbinError

# Names that hold what people write. Such a value in the log is a mistake, and it is not let through.
FORBIDDEN = frozenset(
    {"answer", "blocks", "body", "content", "messages", "payload", "prompt", "text", "words"}
)
OURS = ("__main__", "bot", "storage")

_SHORTEST_SECRET = 10
"""What is shorter may be an ordinary word: masking it everywhere would spoil the log."""

_SECRETS = re.compile(
    r"xox[a-z](\.xox[a-z])?-[\w-]+"
    r"|xapp-[\w-]+"
    r"|(AKIA|ASIA)[A-Z0-9]{12,}"
    r"|ABSK[\w+/=]{16,}|bedrock-api-key-[\w+/=-]+"  # an API key of Bedrock
    # A header's value; Slack has a page that is called Basic Information.
    r"|(?i:(?<=bearer )|(?<=bearer\t)|(?<=: basic )|(?<=['\"]basic ))[\w.~+/=-]+"
    # The password of an address, and what makes one an order to let its bearer in: a signature, a ticket.
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?i:(?<=[?&;\s]ticket=)|(?<=^ticket=)|(?<=[?&;\s]password=)|(?<=[?&;\s]pub_secret=)|(?<=[?&;\s]token=)"
    r"|(?<=signature=)|(?<=credential=)|(?<=security-token=))[^&;\s\"']+"
    r"|(?<=hooks\.slack\.com/)[\w/-]+|(?<=slack\.com/upload/)[\w/.-]+"
    # An AWS secret key: 40 characters of base64 with all three kinds among them; a session token or API key.
    r"|(?<![\w+/=])(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*\d)[A-Za-z0-9+/]{40}(?![\w+/=])"
    r"|[A-Za-z0-9+/=]{100,}"
)
# Ids, words, numbers and times, of which a line mostly consists, are too short or too plain for any of these:
# they are not searched, which halves the cost of a line.
_PLAINLY_NONE = re.compile(r"[A-Za-z0-9_.:]{0,15}|[0-9.:TZ-]{0,39}")
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n", 9: " "}

_known: list[str] = []
"""Secrets of this process, masked by their value: not every secret looks like one."""


_SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "PGPASSWORD",
)
_PASSWORD = re.compile(r"\w+://[^/:@]*:(.+)@")


def secrets_of(environ: Mapping[str, str], values: Collection[str]) -> set[str]:
    """The secrets among these values and in the environment; of an address that has a password, that."""
    given = [*values, *(environ.get(name, "") for name in _SECRET_VARIABLES)]
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        given += [header.partition("=")[2] for header in environ.get(name, "").split(",")]
    found: set[str] = set()
    for value in given:
        password = _PASSWORD.match(value)
        secret = password[1] if password else "" if "://" in value else value
        found |= {secret, unquote(secret)} - {""}
    return found


def masked(text: str) -> str:
    """The text without what is known to be a secret, or looks like a token, key or password."""
    for secret in _known:
        text = text.replace(secret, "[secret]")
    return text if _PLAINLY_NONE.fullmatch(text) else _SECRETS.sub("[secret]", text)


def configure_logging(
    level: str = "INFO",
    log_format: Literal["console", "json"] | None = None,
    stream: TextIO | None = None,
    *,
    secrets: Collection[str] = (),
) -> None:
    """Send all logs to `stream` (standard error); the format follows the terminal where none is given.

    `secrets` are masked wherever they appear, whatever they look like.
    """
    _known[:] = sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True)
    stream = stream or sys.stderr
    if (log_format or ("console" if stream.isatty() else "json")) == "console":
        renderer: Processor = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    described: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*described, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*described, _shorten],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _trace,
                _harmless,
                renderer,
            ],
        )
    )
    # Slack's libraries set levels of their own on their loggers: the handler decides, not the loggers.
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or _ours(record.name))
    # Bolt says it again of each error that passes through it.
    handler.addFilter(lambda record: not (record.exc_info and getattr(record.exc_info[1], "told", False)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in OURS:
        logging.getLogger(name).setLevel(level)


def _ours(name: str) -> bool:
    return name.partition(".")[0] in OURS


def _shorten(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    """A library's line: what it says always, without what it says this time.

    Slack's libraries put whole requests and answers after a first bracket, asyncio the errors of tasks.
    """
    record = event_dict["_record"]
    said = record.msg if record.args else event_dict["event"]
    if not _ours(record.name) or record.args:
        event_dict["event"] = re.split(r"[\n{\[(<]|: |\s['\"]", str(said), maxsplit=1)[0][:120].rstrip()
    return event_dict


def _trace(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    """An error as where it was raised, and what it is; only Bobbin's own errors say more."""
    exc_info = event_dict.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info if isinstance(exc_info, BaseException) else (exc_info or (None, None))[1]
    if isinstance(error, BaseException):
        event_dict["exception"] = "\n".join(_told(error))
    return event_dict


def _told(error: BaseException) -> Iterator[str]:
    """The error and what it came from, the newest last, as a traceback does."""
    chain: list[BaseException] = []
    before: BaseException | None = error
    while before is not None and before not in chain:
        chain.append(before)
        before = before.__cause__ or (None if before.__suppress_context__ else before.__context__)
    for each in reversed(chain):
        yield from _places(each.__traceback__)
        yield f"{type(each).__module__}.{type(each).__qualname__}{_says(each)}"


def _places(trace: TracebackType | None) -> Iterator[str]:
    for frame in traceback.extract_tb(trace):
        yield f"  {frame.filename}:{frame.lineno} in {frame.name}"


def _says(error: BaseException) -> str:
    if isinstance(error, BobbinError):
        return f": {error}"
    return f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""


def _harmless(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    """Every value as a number or one masked line; a traceback keeps its lines, indented."""
    for key, value in event_dict.items():
        if key in FORBIDDEN:
            event_dict[key] = "[not logged]"
        elif not isinstance(value, bool | int | float | None):
            lines = masked(_plain(value)).split("\n")
            separator = "\n  " if key == "exception" else "\\n"
            event_dict[key] = separator.join(line.translate(_CONTROLS) for line in lines)
    return event_dict


def _plain(value: Any) -> str:
    """A value as text; an error that is not Bobbin's own is only named."""
    if isinstance(value, BaseException) and not isinstance(value, BobbinError):
        return f"{type(value).__name__}{_says(value)}"
    return str(value)
