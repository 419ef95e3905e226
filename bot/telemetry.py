"""Logs: one line an event, for people or for machines, without secrets and without what people write.

Modules call `structlog.get_logger(__name__)`; ids, sizes and durations are values, the event is a constant
phrase. Libraries log through the same handler, at WARNING and above only: below, they print messages.
"""

import logging
import re
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# Names that hold what people write. Such a value in the log is a mistake, and it is not let through.
FORBIDDEN = frozenset({"answer", "blocks", "body", "payload", "prompt", "text"})
OURS = ("__main__", "bot", "storage")

_SECRETS = re.compile(
    r"xox[a-z](\.xox[a-z])?-[\w-]+"
    r"|xapp-[\w-]+"
    r"|(AKIA|ASIA)[A-Z0-9]{12,}"
    r"|(?<=ticket=)[\w-]+"  # opens a Socket Mode connection
    r"|(?i:(?<=bearer )|(?<=bearer\t))[\w.~+/=-]+"
    # An AWS secret key: 40 characters of base64 with all three kinds among them; a session token or API key.
    r"|(?<![\w+/=])(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*\d)[A-Za-z0-9+/]{40}(?![\w+/=])"
    r"|[A-Za-z0-9+/=]{100,}"
)
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n", 9: " "}


def masked(text: str) -> str:
    """The text without what looks like a token or key."""
    return _SECRETS.sub("[secret]", text)


def configure_logging(
    level: str = "INFO", log_format: Literal["console", "json"] | None = None, stream: TextIO | None = None
) -> None:
    """Send all logs to `stream` (standard error); the format follows the terminal where none is given."""
    stream = stream or sys.stderr
    if (log_format or ("console" if stream.isatty() else "json")) == "console":
        # No frames with local variables: they hold what people write.
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
            foreign_pre_chain=[*described, _shorten_slack],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _harmless,
                renderer,
            ],
        )
    )
    # Slack's libraries set levels of their own on their loggers: the handler decides, not the loggers.
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or _ours(record.name))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in OURS:
        logging.getLogger(name).setLevel(level)


def _ours(name: str) -> bool:
    return name.partition(".")[0] in OURS


def _shorten_slack(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    """Slack's libraries put whole requests and answers into their lines, after a first bracket or brace."""
    if str(event_dict["logger"]).startswith(("slack_bolt", "slack_sdk")):
        event_dict["event"] = re.split(r"[\n{\[(]", str(event_dict["event"]), maxsplit=1)[0][:120].rstrip()
        if exc_info := event_dict.pop("exc_info", None):
            event_dict["error"] = exc_info[0].__name__ if isinstance(exc_info, tuple) else "unknown"
    return event_dict


def _harmless(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    """Every value as a number or one masked line; a traceback keeps its lines, indented."""
    for key, value in event_dict.items():
        if key in FORBIDDEN:
            event_dict[key] = "[not logged]"
        elif not isinstance(value, bool | int | float | None):
            lines = masked(str(value)).split("\n")
            separator = "\n  " if key == "exception" else "\\n"
            event_dict[key] = separator.join(line.translate(_CONTROLS) for line in lines)
    return event_dict
