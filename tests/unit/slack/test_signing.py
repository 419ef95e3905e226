from collections.abc import Mapping

import pytest

from bot.slack.signing import genuine

# Slack's own example (docs.slack.dev/authentication/verifying-requests-from-slack).
SECRET, AT = "8f742231b10e8888abcd99yyyzzz85a5", 1531420618
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
    b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def headers(at: str = str(AT), signature: str = SIGNATURE) -> Mapping[str, str]:
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature}


@pytest.mark.parametrize("now", [AT, AT + 300, AT - 300])
def test_slacks_own_example_is_genuine_for_five_minutes(now: int):
    assert genuine(SECRET, headers(), BODY, now)


@pytest.mark.parametrize(
    ("given", "body", "secret", "now"),
    [
        pytest.param(headers(), BODY, SECRET, AT + 300.5, id="old"),
        pytest.param(headers(), BODY, SECRET, AT - 301, id="ahead"),
        pytest.param(headers(), BODY + b" ", SECRET, AT, id="another body"),
        pytest.param(headers(), b"", SECRET, AT, id="no body"),
        pytest.param(headers(), BODY, SECRET[:-1] + "6", AT, id="another secret"),
        pytest.param(headers(str(AT + 1)), BODY, SECRET, AT, id="another time"),
        pytest.param(headers(f"0{AT}"), BODY, SECRET, AT, id="the same time, written otherwise"),
        pytest.param(headers(signature=SIGNATURE.upper()), BODY, SECRET, AT, id="capitals"),
        pytest.param(headers(signature=SIGNATURE[3:]), BODY, SECRET, AT, id="no version"),
        pytest.param(headers(signature="v0=\u0661" + "0" * 63), BODY, SECRET, AT, id="no ASCII"),
        pytest.param(
            headers("\u0661\u0665\u0663\u0661\u0664\u0662\u0660\u0666\u0661\u0668"),
            BODY,
            SECRET,
            AT,
            id="other digits",
        ),
        pytest.param(headers("9" * 5000), BODY, SECRET, AT, id="a huge time"),
        pytest.param({}, BODY, SECRET, AT, id="nothing"),
    ],
)
def test_anything_else_is_not(given: Mapping[str, str], body: bytes, secret: str, now: float):
    assert not genuine(secret, given, body, now)
