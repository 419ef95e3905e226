"""Where the chaos suite has its databases."""

import os

import pytest

from tests.postgres import Server

ON_A_SERVER = os.environ.get("CHAOS_DATABASE") == "postgres"  # noqa: TID251  where to try is no setting of Bobbin's


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server | None:
    """None: each Bobbin has a file. With CHAOS_DATABASE=postgres each has a database on this server."""
    return request.getfixturevalue("postgres") if ON_A_SERVER else None
