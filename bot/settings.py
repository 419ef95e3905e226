"""Every setting, read once from the environment and `.env`, then frozen.

A field is named for its variable in lower case. Its default, what it means and an example stand beside
it: the README's table and the words of an error come from there. No other module reads the environment.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, Self

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bot.errors import BadConfiguration
from bot.forms import (
    Lower,
    Off,
    Port,
    Seconds,
    Upper,
    Usd,
    domains,
    family,
    ids_of,
    like,
    signing_secret,
    token,
    url_of_api,
    url_of_database,
)
from bot.models import Effort
from bot.telemetry import secrets_of


class Row(NamedTuple):
    """A row of the README's table of settings."""

    variable: str
    default: str
    meaning: str


_HTTP_PORT = 3000


@dataclass(frozen=True)
class _About:
    """What people read of a setting; `default` is in words where the value itself says too little."""

    meaning: str
    example: str
    default: str = ""


class Settings(BaseModel):
    """What Bobbin is told from outside. A setting exists only once it works."""

    model_config = ConfigDict(frozen=True, alias_generator=AliasGenerator(validation_alias=str.upper))

    slack_bot_token: Annotated[SecretStr, token("xoxb-"), _About("the app's bot token", "xoxb-…", "none")]
    slack_app_token: Annotated[
        SecretStr | None,
        token("xapp-"),
        _About(
            "the app-level token with `connections:write`: Socket Mode; without it, HTTP mode",
            "xapp-…",
            "none",
        ),
    ] = None
    slack_signing_secret: Annotated[
        SecretStr | None,
        AfterValidator(signing_secret),
        _About(
            "the app's signing secret, which HTTP mode needs; not read in Socket Mode",
            "0123456789abcdef0123456789abcdef",
            "none",
        ),
    ] = None
    slack_api_url: Annotated[
        str,
        AfterValidator(url_of_api),
        _About("base of Slack's Web API; ends in `/api/`", "https://slack.com/api/"),
    ] = "https://slack.com/api/"
    region: Annotated[
        str | None,
        Field(validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION")),
        _About("where Bedrock is asked; the first one wins", "eu-central-1", "AWS's chain"),
    ] = None
    bedrock_model_id: Annotated[
        str | None,
        _About(
            "id or ARN of a model or inference profile",
            "eu.anthropic.claude-sonnet-5-5",
            "the current Claude Sonnet profile of the region's geography",
        ),
    ] = None
    model_family: Annotated[
        str,
        AfterValidator(family),
        _About(
            "which model stands behind an application inference profile, whose ARN does not tell",
            "claude-sonnet-5-5",
            "by id",
        ),
    ] = ""
    thinking_effort: Annotated[
        Effort,
        Lower,
        _About(
            "how hard the model thinks, where it can: `off` (or as little as it takes), `low`, `medium`, "
            "`high`, `xhigh` or `max`",
            "medium",
        ),
    ] = "low"
    bedrock_guardrail_id: Annotated[
        str | None,
        like(r"[a-z0-9]+|arn:aws[\w-]*:bedrock:\S+:guardrail/[a-z0-9]+", "the id or ARN of a guardrail"),
        _About("id or ARN of a Bedrock guardrail that judges questions and answers", "gr0123456789", "none"),
    ] = None
    bedrock_guardrail_version: Annotated[
        str,
        like(r"[1-9]\d{0,7}|DRAFT", "a number or DRAFT"),
        _About("which version of the guardrail", "1"),
    ] = "DRAFT"
    database_url: Annotated[
        str,
        AfterValidator(url_of_database),
        _About(
            "`sqlite:///PATH`, with four slashes for an absolute path; or, for several workers or a host "
            "whose disk forgets, `postgresql://USER:PASSWORD@HOST/NAME`, with libpq's parameters such as "
            "`?sslmode=verify-full`",
            "sqlite:////var/lib/bobbin/bobbin.db",
        ),
    ] = "sqlite:///bobbin.db"
    system_prompt: Annotated[
        str | None, _About("who Bobbin is", "You are the archivist of Acme.", "built in")
    ] = None
    max_output_tokens: Annotated[
        int, Field(ge=1, le=128_000), _About("the longest answer, in tokens of the model", "8192")
    ] = 8192
    context_window_tokens: Annotated[
        int,
        Field(ge=4_000, le=1_000_000),
        _About(
            "how much of a thread is read word for word; what is older is condensed",
            "100000",
            "200000, or the model's own where that is less",
        ),
    ] = 200_000
    max_concurrent_answers: Annotated[
        int,
        Field(ge=1, le=10_000),
        _About("answers at once in this process; the Bedrock connection pool follows it", "256"),
    ] = 256
    bedrock_idle_seconds: Annotated[
        Seconds, _About("no word from the model for so long is one failed try", "120")
    ] = 120
    host: Annotated[str, _About("the address that `PORT` is served on", "127.0.0.1")] = "0.0.0.0"  # noqa: S104 probes come from outside
    port: Annotated[
        Port | None,
        _About(
            "serves `/healthz`, `/readyz` and in HTTP mode `/slack/events`, and nothing else",
            "3000",
            "3000 in HTTP mode, else off",
        ),
    ] = None
    lease_seconds: Annotated[
        Seconds, _About("how long a conversation waits for a process that gives no sign of life", "60")
    ] = 60
    recovery_settle_seconds: Annotated[
        Seconds, _About("how long after a crash a Slack call may still take effect", "15")
    ] = 15
    drain_seconds: Annotated[
        Seconds, _About("what answers get to end in when the process is told to stop", "8")
    ] = 8
    thread_replies: Annotated[
        Literal["auto", "mention"],
        Lower,
        _About("in joined threads, `auto` answers replies too, `mention` only mentions", "mention"),
    ] = "auto"
    external_users: Annotated[
        Literal["refuse", "allow"],
        Lower,
        _About("people of other organisations: `refuse` or `allow`", "allow"),
    ] = "refuse"
    guests: Annotated[
        Literal["refuse", "allow"],
        Lower,
        _About("guests of this organisation: `refuse` or `allow`", "refuse"),
    ] = "allow"
    allowed_channels: Annotated[
        frozenset[str],
        ids_of("CDG"),
        _About("ids of the only channels to answer in, separated by commas", "C0123ABCD,C0456EFGH", "all"),
    ] = frozenset()
    allowed_users: Annotated[
        frozenset[str], ids_of("UW"), _About("ids of the only people to answer", "U0123ABCD,U0456EFGH", "all")
    ] = frozenset()
    allowed_bots: Annotated[
        frozenset[str],
        ids_of("BUW"),
        _About("bot ids or user ids of the bots that may ask", "B0123ABCD", "none"),
    ] = frozenset()
    admin_users: Annotated[
        frozenset[str],
        ids_of("UW"),
        _About(
            "ids of those who set a channel's instructions and model, and hear of budgets",
            "U0123ABCD",
            "the workspace's admins and owners",
        ),
    ] = frozenset()
    link_domains: Annotated[
        frozenset[str],
        BeforeValidator(domains),
        _About("hosts whose links are always left whole, separated by commas", "example.com", "none"),
    ] = frozenset()
    budget_user_daily_usd: Annotated[
        Usd | None, Off, _About("what one person may spend in a day (UTC), in US dollars", "2.50", "off")
    ] = None
    budget_team_monthly_usd: Annotated[
        Usd | None,
        Off,
        _About("what a workspace may spend in a month (UTC), in US dollars; `off` lifts it", "500"),
    ] = Decimal(100)
    retention_days: Annotated[
        int,
        Field(ge=0, le=36_500),
        _About("days after its last message until a conversation is erased; 0 keeps it", "30"),
    ] = 90
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Upper,
        _About("`DEBUG`, `INFO`, `WARNING` or `ERROR`; what people write is in none of them", "WARNING"),
    ] = "INFO"
    log_format: Annotated[
        Literal["console", "json"] | None, Lower, _About("`console` or `json`", "json", "by terminal")
    ] = None
    metrics_port: Annotated[
        Port | None, _About("serves `/metrics` for Prometheus, and nothing else", "9464", "off")
    ] = None
    metrics_host: Annotated[str, _About("the address that metrics are served on", "0.0.0.0")] = "127.0.0.1"  # noqa: S104 an example
    slack_pacing: Annotated[
        bool, _About("`off` lifts Bobbin's own pace under Slack's rate limits, for load tests", "off", "on")
    ] = True
    sandbox_model: Annotated[
        Literal["scripted", "bedrock"],
        Lower,
        _About("who answers in the sandbox: `scripted`, or the real `bedrock`", "bedrock"),
    ] = "scripted"
    sandbox_port: Annotated[Port, _About("the port of the sandbox's page", "8080")] = 8080

    @property
    def http_mode(self) -> bool:
        """Whether Slack sends requests, and no socket is opened."""
        return self.slack_app_token is None

    @property
    def served_port(self) -> int | None:
        """The port to listen on; None: nothing is served."""
        return _HTTP_PORT if self.port is None and self.http_mode else self.port

    @property
    def slack_timeout(self) -> float:
        """Seconds that one Slack call may take: over before its effect would count as never to come."""
        return min(10, self.recovery_settle_seconds, self.lease_seconds / 3)

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, dotenv: str = ".env", *, need_slack: bool = True
    ) -> Self:
        """Read the settings; the environment wins over the file, and an empty variable counts as unset.

        `need_slack=False` is for commands that use no Slack or bring their own: the tokens are not read.
        Raises `BadConfiguration`, which names all that is wrong and never quotes a value.
        """
        values = _read(dotenv)
        if environ is None:
            environ = os.environ  # noqa: TID251 the one place
            for name, value in values.items():
                # Botocore and OpenTelemetry look for their own variables in the environment only.
                if name.startswith(("AWS_", "OTEL_")):
                    os.environ.setdefault(name, value)  # noqa: TID251 the one place
        values |= _filled(environ)
        if not need_slack:
            values |= {"SLACK_BOT_TOKEN": "xoxb-none", "SLACK_APP_TOKEN": "xapp-none"}
        if "SLACK_SIGNING_SECRET" not in values:
            values.setdefault("SLACK_APP_TOKEN", "")  # one of them there must be
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BadConfiguration([_problem(each) for each in error.errors()]) from None

    def secrets(self) -> set[str]:
        """Return every value that opens something, AWS's and OpenTelemetry's own among them."""
        tokens = (self.slack_bot_token, self.slack_app_token, self.slack_signing_secret)
        values = [token.get_secret_value() for token in tokens if token]
        return secrets_of(os.environ, [*values, self.database_url])  # noqa: TID251 the one place

    @classmethod
    def traced(cls) -> bool:
        """Whether OpenTelemetry's own variables ask for traces."""
        environ = _filled(os.environ)  # noqa: TID251 the one place
        wanted = environ.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
        off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        return wanted and not off and any(name in environ for name in _TRACED)

    @classmethod
    def table(cls) -> list[Row]:
        """Every setting as the README shows it."""
        return [
            Row(" or ".join(names), about.default or str(field.default), about.meaning)
            for names, about, field in _described()
        ]


_TRACED = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def _read(dotenv: str) -> dict[str, str]:
    try:
        return _filled(dotenv_values(dotenv, interpolate=False))
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration([f"{dotenv}: it cannot be read ({type(error).__name__})"]) from error


def _filled(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value.strip() for name, value in values.items() if value and value.strip()}


def _described() -> Iterator[tuple[list[str], _About, FieldInfo]]:
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names = [str(each) for each in alias.choices] if isinstance(alias, AliasChoices) else [name.upper()]
        yield names, next(each for each in field.metadata if isinstance(each, _About)), field


def _problem(error: ErrorDetails) -> str:
    variable = error["loc"][0]
    about = next(about for names, about, _ in _described() if variable in names)
    if error["type"] == "missing":
        reason = f"it is missing ({about.meaning})"
    else:
        reason = error["msg"].removeprefix("Value error, ").replace("Input", "it").split(", unable")[0]
    return f"{variable}: {reason}; for example {variable}={about.example}"
