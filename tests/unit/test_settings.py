import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.errors import BadConfiguration
from bot.settings import Settings

TOKENS = {"SLACK_BOT_TOKEN": "xoxb-1-hidden", "SLACK_APP_TOKEN": "xapp-1-hidden"}
NO_FILE = "/nonexistent/.env"


def load(**environ: str) -> Settings:
    return Settings.load(TOKENS | environ, NO_FILE)


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(BadConfiguration) as raised:
        Settings.load(environ, NO_FILE)
    return raised.value.problems


def test_two_tokens_are_enough():
    settings = load()
    assert settings.slack_bot_token.get_secret_value() == "xoxb-1-hidden"
    assert settings.database_url == "sqlite:///bobbin.db"
    assert (settings.region, settings.bedrock_model_id, settings.port) == (None, None, None)
    assert (settings.thread_replies, settings.external_users, settings.guests) == ("auto", "refuse", "allow")


def test_all_that_is_wrong_is_named_at_once_with_an_example():
    found = problems(
        {"SLACK_BOT_TOKEN": "xoxp-2", "PORT": "many", "DATABASE_URL": "mysql://h", "LEASE_SECONDS": "0"}
    )
    assert [line.partition(":")[0] for line in found] == [
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "DATABASE_URL",
        "PORT",
        "LEASE_SECONDS",
    ]
    assert all("; for example " in line for line in found)


def test_without_app_token_and_signing_secret_both_ways_are_named():
    (problem,) = problems({"SLACK_BOT_TOKEN": "xoxb-1"})
    assert problem.startswith("SLACK_APP_TOKEN: it is missing, and so is SLACK_SIGNING_SECRET; ")
    assert "Socket Mode" in problem
    assert "HTTP mode" in problem


@pytest.mark.parametrize(
    ("given", "http_mode", "port"),
    [
        ({"SLACK_APP_TOKEN": "xapp-1"}, False, None),
        ({"SLACK_APP_TOKEN": "xapp-1", "PORT": "80"}, False, 80),
        ({"SLACK_SIGNING_SECRET": "5ec"}, True, 3000),
        ({"SLACK_SIGNING_SECRET": "5ec", "PORT": "80", "SLACK_APP_TOKEN": " "}, True, 80),
        ({"SLACK_SIGNING_SECRET": "5ec", "SLACK_APP_TOKEN": "xapp-1"}, False, None),
    ],
)
def test_an_app_token_is_for_sockets_and_a_secret_alone_for_requests(
    given: dict[str, str], *, http_mode: bool, port: int | None
):
    settings = Settings.load({"SLACK_BOT_TOKEN": "xoxb-1"} | given, NO_FILE)
    assert (settings.http_mode, settings.served_port) == (http_mode, port)
    assert "5ec" not in repr(settings)


@pytest.mark.parametrize("secret", ["xoxb-1", "xapp-1-2", "two words"])
def test_a_token_is_not_taken_for_the_signing_secret(secret: str):
    (problem,) = problems({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": secret})
    assert problem.startswith("SLACK_SIGNING_SECRET: it must be the Signing Secret")


def test_a_database_that_bobbin_does_not_know_is_refused_in_words():
    (problem,) = problems(TOKENS | {"DATABASE_URL": "mysql://ann:hidden@db/bobbin"})
    assert "it must be sqlite:///PATH" in problem
    assert "hidden" not in problem


@pytest.mark.parametrize("variable", [row.variable.split(" or ")[0] for row in Settings.table()])
def test_no_problem_quotes_a_value(variable: str):
    broken = "hidden value"
    if variable in {"AWS_REGION", "BEDROCK_MODEL_ID", "SYSTEM_PROMPT", "HOST", "METRICS_HOST"}:
        return  # any words will do
    (problem,) = problems(TOKENS | {variable: broken})
    assert problem.startswith(f"{variable}: it ")
    assert "hidden" not in problem


def test_tokens_never_print():
    assert "hidden" not in f"{load()!r} {load()}"


def test_an_empty_variable_counts_as_unset_and_spaces_are_trimmed():
    settings = load(SLACK_API_URL="", PORT="  ", HOST=" 127.0.0.1 ")
    assert (settings.slack_api_url, settings.port, settings.host) == (
        "https://slack.com/api/",
        None,
        "127.0.0.1",
    )


def test_the_first_of_aws_two_variables_for_the_region_wins():
    assert load(AWS_REGION="eu-central-1", AWS_DEFAULT_REGION="us-east-1").region == "eu-central-1"
    assert load(AWS_REGION="", AWS_DEFAULT_REGION="us-east-1").region == "us-east-1"


def test_ids_are_separated_by_commas():
    settings = load(ALLOWED_CHANNELS="C1, G2,", ALLOWED_USERS="U1,W2", ALLOWED_BOTS="B1")
    assert settings.allowed_channels == {"C1", "G2"}
    assert settings.allowed_users == {"U1", "W2"}
    assert settings.allowed_bots == {"B1"}
    assert load().allowed_users == frozenset()


@pytest.mark.parametrize(
    ("variable", "good", "bad"),
    [
        ("MODEL_FAMILY", "claude-sonnet-5-5", "gpt"),
        ("MODEL_FAMILY", "global.anthropic.claude-haiku-5-5", "claude-sonnet-55"),
        ("THINKING_EFFORT", "Medium", "lots"),
        ("BEDROCK_GUARDRAIL_ID", "gr0123456789", "my guardrail"),
        ("BEDROCK_GUARDRAIL_ID", "arn:aws:bedrock:eu-west-1:123456789012:guardrail/abc1", "arn:aws:s3:::x"),
        ("BEDROCK_GUARDRAIL_VERSION", "12", "0"),
        ("BEDROCK_GUARDRAIL_VERSION", "DRAFT", "draft"),
        ("CONTEXT_WINDOW_TOKENS", "12000", "100"),
    ],
)
def test_what_is_said_of_the_model_is_checked(variable: str, good: str, bad: str):
    assert str(getattr(load(**{variable: good}), variable.lower())).lower() == good.lower()
    (problem,) = problems(TOKENS | {variable: bad})
    assert problem.startswith(f"{variable}: it ")


def test_words_are_read_whatever_their_case():
    settings = load(THREAD_REPLIES="Mention", LOG_LEVEL="debug", LOG_FORMAT="JSON", SLACK_PACING="off")
    assert (settings.thread_replies, settings.log_level, settings.log_format) == ("mention", "DEBUG", "json")
    assert not settings.slack_pacing


@pytest.mark.parametrize(
    ("lease", "settle", "seconds"),
    [
        pytest.param("60", "15", 10, id="at most ten seconds"),
        pytest.param("60", "0.2", 0.2, id="no longer than recovery waits"),
        pytest.param("6", "15", 2, id="a third of the lease"),
    ],
)
def test_a_slack_call_is_over_before_anybody_else_takes_the_thread(lease: str, settle: str, seconds: float):
    assert load(LEASE_SECONDS=lease, RECOVERY_SETTLE_SECONDS=settle).slack_timeout == seconds


def test_the_sandbox_needs_no_tokens_and_reads_none():
    settings = Settings.load({"SLACK_BOT_TOKEN": "broken", "SANDBOX_PORT": "0"}, NO_FILE, need_slack=False)
    assert settings.sandbox_port == 0
    assert settings.slack_bot_token.get_secret_value() == "xoxb-none"


def test_the_environment_wins_over_the_file(tmp_path: Path):
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "SLACK_BOT_TOKEN=xoxb-file\nSLACK_APP_TOKEN='xapp-file'\nPORT=1\nSYSTEM_PROMPT='cost $HOME'\n"
    )
    settings = Settings.load({"PORT": "2", "SLACK_BOT_TOKEN": ""}, str(dotenv))
    assert settings.port == 2
    assert settings.slack_bot_token.get_secret_value() == "xoxb-file"
    assert settings.system_prompt == "cost $HOME"


def test_aws_variables_of_the_file_reach_botocore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in list(os.environ):  # noqa: TID251 what this test is about
        if name.startswith(("AWS_", "SLACK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_REGION", "")  # restored afterwards, whatever load() does
    dotenv = tmp_path / ".env"
    dotenv.write_text("AWS_PROFILE=theirs\nAWS_REGION=eu-west-1\n")
    settings = Settings.load(dotenv=str(dotenv), need_slack=False)
    assert settings.region == "eu-west-1"
    assert os.environ["AWS_PROFILE"] == "mine"  # noqa: TID251 what this test is about


def test_a_file_that_is_no_text_is_a_named_problem(tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(BadConfiguration, match="cannot be read"):
        Settings.load({}, str(tmp_path / ".env"))


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load().port = 1


def test_the_signing_secret_is_kept_out_of_the_log_like_any_token():
    settings = Settings.load({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "5ec"}, NO_FILE)
    assert {"xoxb-1", "5ec"} <= settings.secrets()
