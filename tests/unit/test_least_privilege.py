"""The README's policy allows what the code calls on AWS, on Claude's models, and nothing more."""

import ast
import json
import re
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import Session

ROOT = Path(__file__).parents[2]
NEEDS = {"converse_stream": "bedrock:InvokeModelWithResponseStream"}
"""By operation, what AWS asks for it (Service Authorization Reference, Amazon Bedrock)."""
ASKED_BY_THE_DOCTOR = {"get_caller_identity", "get_inference_profile", "list_inference_profiles"}
"""Where AWS refuses these, the check is skipped."""


@pytest.fixture(scope="module")
def operations() -> set[str]:
    """Every operation of the services that are opened, as a client names it."""
    known = Session()
    services = ("bedrock-runtime", "bedrock", "sts")
    return {xform_name(each) for name in services for each in known.get_service_model(name).operation_names}


def called(module: str, operations: set[str]) -> set[str]:
    tree = ast.parse((ROOT / "bot" / module).read_text("utf-8"))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & operations


def policy() -> list[dict[str, object]]:
    """The statements of the README."""
    (block,) = re.findall(
        r"```json\n(.*?\"Statement\".*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )
    return list(json.loads(block)["Statement"])


def test_the_policy_allows_what_bobbin_calls_and_no_more(operations: set[str]):
    assert called("bedrock.py", operations) == set(NEEDS)
    assert {statement["Action"] for statement in policy()} == set(NEEDS.values())


def test_what_the_doctor_asks_beside_it_is_in_no_policy(operations: set[str]):
    assert called("bedrock_doctor.py", operations) == ASKED_BY_THE_DOCTOR


def test_only_claude_models_are_allowed():
    for statement in policy():
        resources = statement["Resource"]
        assert isinstance(resources, list)
        assert all(re.search(r"/\*?anthropic\.claude-\*$", resource) for resource in resources)
        assert statement["Effect"] == "Allow"
