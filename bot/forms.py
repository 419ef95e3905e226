"""The forms that a setting's text may have, and what is said of one that has another."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bot.models import known

Seconds = Annotated[float, Field(gt=0, le=3600)]
Port = Annotated[int, Field(ge=0, le=65535)]
Usd = Annotated[Decimal, Field(gt=0, le=1_000_000_000)]
Off = BeforeValidator(lambda value: None if str(value).lower() == "off" else value)
Lower = BeforeValidator(str.lower)
Upper = BeforeValidator(str.upper)
Admission = Annotated[Literal["refuse", "allow"], Lower]


def token(prefix: str) -> AfterValidator:
    """A token of Slack's with this prefix."""

    def check(token: SecretStr | None) -> SecretStr | None:
        if token is not None and not token.get_secret_value():
            raise ValueError(
                "it is missing, and so is SLACK_SIGNING_SECRET; "
                "Socket Mode needs the one, HTTP mode the other"
            )
        # Slack promises nothing about a token but its prefix.
        if token is not None and not token.get_secret_value().startswith(prefix):
            raise ValueError(f"it must start with {prefix}")
        return token

    return AfterValidator(check)


def signing_secret(secret: SecretStr | None) -> SecretStr | None:
    """What signs the requests of HTTP mode, and no token, which is easily put in its place."""
    value = secret.get_secret_value() if secret else "-"
    if re.search(r"\s", value) or value.startswith(("xox", "xapp-")):
        raise ValueError("it must be the Signing Secret from the app's page Basic Information, and no token")
    return secret


def ids_of(initials: str) -> BeforeValidator:
    """Slack's ids, which begin with one of these letters, separated by commas or blanks."""

    def split(value: str) -> frozenset[str]:
        ids = frozenset(re.split(r"[\s,]+", value.strip(", ")))
        if not all(re.fullmatch(rf"[{initials}]\w+", each) for each in ids):
            raise ValueError(f"it must be Slack's ids, each starting with one of {', '.join(initials)}")
        return ids

    return BeforeValidator(split)


def domains(value: str) -> frozenset[str]:
    """Names of hosts, likewise."""
    domains = frozenset(re.split(r"[\s,]+", value.strip(", ").lower()))
    if not all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", each) for each in domains):
        raise ValueError("it must be names of hosts, without https:// and path")
    return domains


def url_of_api(url: str) -> str:
    """The base of a Web API."""
    if not re.fullmatch(r"https?://[^\s/]+/(\S+/)?api/", url):
        raise ValueError("it must be an http or https address that ends in /api/")
    return url


def url_of_database(url: str) -> str:
    """Where the database is."""
    if not re.fullmatch(r"sqlite:///.*[^/]|postgres(ql)?://.+", url):
        raise ValueError(
            "it must be sqlite:///PATH (four slashes for an absolute one), or postgresql://USER:PASSWORD@HOST/NAME"
        )
    return url


def like(pattern: str, words: str) -> AfterValidator:
    """Whatever has this pattern; `words` say it to people."""

    def check(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"it must be {words}")
        return value

    return AfterValidator(check)


def family(name: str) -> str:
    """A model that stands in the table of models."""
    if not known("", name).is_known:
        raise ValueError("it must be the id of a Claude model that this version knows")
    return name
