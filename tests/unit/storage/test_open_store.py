import pytest

from bot.errors import BadConfiguration
from storage import open_store


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://bobbin:hunter2@db/bobbin", "no database that Bobbin knows"),
        ("sqlite://bobbin.db", "no database that Bobbin knows"),
        ("sqlite:///", "no database that Bobbin knows"),
        ("hunter2.db", "no database that Bobbin knows"),
        ("", "no database that Bobbin knows"),
    ],
)
async def test_a_url_of_another_kind_is_refused_with_a_reason_and_no_password(url, reason):
    with pytest.raises(BadConfiguration) as refused:
        async with open_store(url):
            pass
    [problem] = refused.value.problems
    assert problem == f"DATABASE_URL: {reason}. Example: sqlite:///bobbin.db"


async def test_three_slashes_are_a_path_from_here_and_four_an_absolute_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with open_store("sqlite:///here.db"), open_store(f"sqlite:///{tmp_path}/there.db"):
        pass
    assert {path.name for path in tmp_path.glob("*.db")} == {"here.db", "there.db"}


async def test_a_store_is_closed_whatever_happens_within(tmp_path):
    url = f"sqlite:///{tmp_path}/bobbin.db"
    with pytest.raises(LookupError):
        async with open_store(url):
            raise LookupError
    async with open_store(url, lock_seconds=0) as store:
        assert await store.writable()
