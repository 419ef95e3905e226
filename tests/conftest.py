"""How many examples the properties get: the same few each time, or many new ones every night.

`HYPOTHESIS_PROFILE=nightly pytest --timeout=3600 ...` looks further. A failure prints the line that brings
its example back.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.processes import Launcher

# How fast the machine makes examples is not what is tested.
_patient = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True, database=None
)
settings.register_profile("everyday", _patient, max_examples=200, derandomize=True)
settings.register_profile("nightly", _patient, max_examples=10_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "everyday"))  # noqa: TID251  no setting of Bobbin


@pytest.fixture(scope="session", autouse=True)
def _launcher() -> Iterator[None]:
    """Whatever was started ends with the session."""
    yield
    Launcher.end()
