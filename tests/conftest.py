"""What all tests share: a PostgreSQL server; and how many examples the properties get.

Of these the same few each time, or many new ones every night.

`HYPOTHESIS_PROFILE=nightly pytest --timeout=3600 ...` looks further. A failure prints the line that brings
its example back.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.postgres import Server
from tests.processes import end_launcher

# How fast the machine makes examples is not what is tested.
_patient = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True, database=None
)
settings.register_profile("everyday", _patient, max_examples=50, derandomize=True)
settings.register_profile("nightly", _patient, max_examples=10_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "everyday"))  # noqa: TID251  no setting of Bobbin


LONGEST = (
    "tests/chaos/test_on_postgres.py",
    "tests/chaos/test_play_points.py",
    "tests/e2e/test_process.py",
    "tests/chaos/test_database_faults.py",
    "tests/chaos/test_slack_faults.py",
    "tests/chaos/test_points.py",
    "tests/contract/test_store_machine.py",
    "tests/e2e/test_reply_faults.py",
    "tests/e2e/test_twelve.py",
    "tests/chaos/test_mutants.py",
    "tests/e2e/test_crashes.py",
    "tests/e2e/test_doctor.py",
    "tests/e2e/test_socket.py",
    "tests/contract/test_model.py",
    "tests/integration/test_sandbox_page.py",
    "tests/browser/test_page.py",
    "tests/chaos/test_bedrock_faults.py",
    "tests/unit/storage/test_copying.py",
    "tests/chaos/test_postgres_faults.py",
    "tests/chaos/test_slack_acts.py",
    "tests/e2e/test_backup.py",
    "tests/e2e/test_forgetting.py",
    "tests/chaos/test_again_points.py",
    "tests/e2e/test_attachments.py",
    "tests/browser/test_answers.py",
    "tests/chaos/test_kills.py",
    "tests/e2e/test_window.py",
    "tests/e2e/test_bad_input.py",
    "tests/chaos/test_slack_faults_at_once.py",
    "tests/chaos/test_poison.py",
    "tests/contract/test_store_order.py",
)
"""Modules that take long, the longest first: begun last, one of them would keep the whole run waiting."""
APART = (
    "tests/chaos/test_again_points.py",
    "tests/chaos/test_play_points.py",
    "tests/chaos/test_points.py",
    "tests/chaos/test_on_postgres.py",
    "tests/chaos/test_mutants.py",
    "tests/contract/test_store_machine.py",
    "tests/contract/test_store_order.py",
    "tests/e2e/test_process.py",
    "tests/e2e/test_reply_faults.py",
    "tests/e2e/test_twelve.py",
    "tests/e2e/test_crashes.py",
    "tests/e2e/test_socket.py",
    "tests/integration/test_sandbox_page.py",
)
"""Modules whose tests take long and share nothing: they need not be in one process."""


AGAIN = (
    "tests/browser/",
    "tests/integration/test_sandbox_page.py",
    "tests/e2e/test_doctor.py",
    "tests/e2e/test_doctor_aws.py",
)
"""What looks at a page, or at what a command prints. Elsewhere an answer that is waited for in vain is the
very thing that must not happen."""


class ModuleByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process whole modules, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # which would begin with the modules of the most tests

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if module in APART else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """With `-n`, tests of a module stay together: many share a Bobbin."""
    return ModuleByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest modules; of AGAIN, what waited in vain is played once more.

    A machine on which much runs at once may stand still for longer than anybody's patience. Elsewhere a lost
    answer would show as that, and nothing is played again. What was, is listed last.
    """
    for item in items:
        if item.nodeid.startswith(AGAIN):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun="Timeout"))
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.fixture(scope="session", autouse=True)
def _launcher() -> Iterator[None]:
    """Whatever was started ends with the session."""
    yield
    end_launcher()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One server for all of this run, however many processes it has."""
    folder, owner = tmp_path_factory.getbasetemp(), os.getpid()
    if "PYTEST_XDIST_WORKER" in os.environ:  # noqa: TID251  no setting of Bobbin
        folder, owner = folder.parent, os.getppid()
    return Server.shared(folder, owner)


@pytest.fixture(scope="session")
def emptied(postgres: Server) -> Callable[[], str]:
    """Give the URL of an empty database, the same one each time: whoever had it before is done with it."""
    name = f"test_{os.getpid()}"
    postgres.create(name)

    def emptied() -> str:
        postgres.empty(name)
        return postgres.url(name)

    return emptied
