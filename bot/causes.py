"""Why a turn ended as it did, and what whoever runs Bobbin does next: one table for each kind of end. Pure.

`CAUSES` is by the name of the error that the turn failed with, `ENDINGS` by the reason that it was closed
with, `BUDGETS` by the note that was given. Tests hold them against the tree of errors and the code.
"""

from collections.abc import Mapping

Verdict = tuple[str, str]
"""Why it is as it is, and what to do next; the latter empty where nothing is to be done."""

AGAIN = "press Try again below the error, or ask again"

CAUSES: Mapping[str, Verdict] = {
    "ModelBusy": (
        "Bedrock throttled the model for longer than Bobbin asks again (two minutes).",
        (
            "raise this account's quotas for the model (Service Quotas, Bedrock), or set "
            "BEDROCK_MODEL_ID to a "
            f"profile of more regions; then {AGAIN}"
        ),
    ),
    "QuotaSpent": (
        "This AWS account's quota for the model is spent for today.",
        "raise the daily quota (Service Quotas, Bedrock), or wait for the next day; a new account's is small",
    ),
    "ModelUnavailable": (
        "Bedrock was out of reach, failed or did not answer in three tries.",
        (
            "look at the AWS Health Dashboard, and at DNS, proxy and firewall between here and "
            "bedrock-runtime "
            f"(python -m bot doctor asks it once); then {AGAIN}"
        ),
    ),
    "BrokenStream": (
        "The answer broke off before its end in each try.",
        (
            "look for a proxy that cuts long connections; give AWS's support the request ids above; "
            f"then {AGAIN}"
        ),
    ),
    "EmptyAnswer": (
        "The model ended its answer without a word, each time.",
        "ask in other words; where nothing in the message could be read (an empty file), send it anew",
    ),
    "TooLong": (
        "One message alone, with its files, is more than the model reads at once.",
        "send less of it; CONTEXT_WINDOW_TOKENS cannot be larger than the model's own window",
    ),
    "Refused": (
        "The model's own content filter stopped the answer.",
        "put the question in other words; nothing is wrong with Bobbin",
    ),
    "Blocked": (
        (
            "The guardrail (BEDROCK_GUARDRAIL_ID) stopped the question or the answer: it judges the "
            "whole thread."
        ),
        "edit or delete the words it objects to, ask in a new thread, or change the guardrail",
    ),
    "NoAccess": (
        "This AWS account, or the role that Bobbin runs as, may not use the model.",
        (
            "open the model once in the Bedrock console, and allow "
            "bedrock:InvokeModelWithResponseStream on the "
            "profile and its models (README, Allow the model); python -m bot doctor names what is missing"
        ),
    ),
    "UnknownModel": (
        "There is no such model or profile in this region.",
        "check BEDROCK_MODEL_ID, AWS_REGION and what admins set for the channel (@Bobbin model)",
    ),
    "BadCredentials": (
        "AWS does not take the credentials: they are missing, wrong or expired.",
        (
            "renew them, or give the machine a role; where they are good the clock is wrong, and with it "
            "every signature: python -m bot doctor tells whose they are, and how far off the clock is"
        ),
    ),
    "BadRequest": (
        "Bedrock refused the request for a reason that is Bobbin's to mend.",
        "report it with the request id and the error above; a new thread may get around it",
    ),
    "TurnGaveUp": (
        "The process died five times while it worked on this turn.",
        (
            "look for what ended it: memory (kernel log, OOM), the container's limits, a crash in the log; "
            "then press Try again, or ask without the file that came with it"
        ),
    ),
    "SlackNotAllowed": (
        "Slack does not let Bobbin write there: not a member, archived, restricted, or a scope is missing.",
        (
            "invite it (/invite @bobbin), or add the scope named above and install the app again; "
            "python -m bot doctor lists the scopes"
        ),
    ),
    "SlackTokenRefused": (
        "Slack refuses the bot token: it is revoked, expired, or the app was uninstalled.",
        "install the app again, set the new SLACK_BOT_TOKEN, start Bobbin again",
    ),
    "SlackRefused": (
        "Slack refused a call with a code that Bobbin has no way around.",
        "look the code named above up in Slack's reference of that method; report it",
    ),
    "SlackGone": ("The thread, or the reply in it, was deleted.", ""),
    "StreamClosed": ("Slack ended the stream, and the message could not be rewritten.", AGAIN),
    "StoreError": (
        "The database refused a query: a fault of Bobbin.",
        "report it with the error above; python -m bot doctor looks at the database",
    ),
    "BobbinError": ("Something failed that has no name of its own.", "report it with the error above"),
}

ENDINGS: Mapping[str, Verdict] = {
    "stopped": ("Somebody stopped it: the Stop button, or the word stop.", ""),
    "deleted": ("The question was deleted while it was answered.", ""),
    "not allowed to ask": (
        "Nobody whose words it answers may ask here: a guest, or somebody of another organisation.",
        "EXTERNAL_USERS and GUESTS decide that",
    ),
    "the thread or the reply is gone": ("The thread, or the reply in it, was deleted in Slack.", ""),
    "not an admin": (
        "It was an order for the channel (instructions, model), and whoever gave it is no admin.",
        "ADMIN_USERS, or the workspace's admins and owners, may",
    ),
    "max_tokens": (
        "Answered, up to the length limit: the answer is cut there, and says so.",
        "raise MAX_OUTPUT_TOKENS, or ask it to go on",
    ),
    "window": ("Answered, up to the end of the model's window: it says so.", "ask it to go on"),
}

BUDGETS: Mapping[str, Verdict] = {
    "budget_user": (
        "The person's budget for the day is spent: the model was not asked, and they were told privately.",
        (
            "raise BUDGET_USER_DAILY_USD, or wait for the next day (UTC); python -m bot usage --by "
            "user tells more"
        ),
    ),
    "budget_team": (
        (
            "The workspace's budget for the month is spent: the model was not asked, and they were "
            "told privately."
        ),
        "raise BUDGET_TEAM_MONTHLY_USD; python -m bot usage tells where it went",
    ),
}
