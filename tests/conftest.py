"""How many examples the properties get: the same few each time, or many new ones every night.

`HYPOTHESIS_PROFILE=nightly pytest --timeout=3600 ...` looks further. A failure prints the line that brings
its example back.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.processes import ROOT, Launcher

# How fast the machine makes examples is not what is tested.
_patient = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True, database=None
)
settings.register_profile("everyday", _patient, max_examples=200, derandomize=True)
settings.register_profile("nightly", _patient, max_examples=10_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "everyday"))  # noqa: TID251  no setting of Bobbin


LONGEST = (
    "chaos/test_slack_faults.py",
    "contract/test_store_machine.py",
    "chaos/test_slack_acts.py",
    "e2e/test_process.py",
    "chaos/test_points.py",
    "chaos/test_database_faults.py",
    "chaos/test_again_points.py",
    "chaos/test_bedrock_faults.py",
    "chaos/test_poison.py",
    "chaos/test_kills.py",
    "e2e/test_pacing.py",
)
"""Modules that take long, the longest first: begun last, one of them would keep the whole run waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest modules; several processes take them in this order."""
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session", autouse=True)
def _launcher() -> Iterator[None]:
    """Whatever was started ends with the session."""
    yield
    Launcher.end()
