import re
from pathlib import Path

import pytest

import storage
from storage.queries import load, parse

TEXT = """
Prose before the first name is no query.

-- one
-- Why there is one:
-- two lines of it.
SELECT 1
  -- said in the middle of it
  WHERE :a = 1

-- now
-- SQLite's form serves as the common one.
SELECT unixepoch()

-- now [postgres]
SELECT clock_timestamp()
"""


def test_a_query_is_its_sql_without_its_comments():
    assert parse(TEXT, "sqlite")["one"] == "SELECT 1\n  WHERE :a = 1"


@pytest.mark.parametrize(
    ("dialect", "sql"), [("sqlite", "SELECT unixepoch()"), ("postgres", "SELECT clock_timestamp()")]
)
def test_a_database_has_its_own_form_where_there_is_one(dialect, sql):
    queries = parse(TEXT, dialect)
    assert list(queries) == ["one", "now"]
    assert queries["now"] == sql


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("-- one\nSELECT 1\n-- one\nSELECT 2", "query one is there twice", id="twice"),
        pytest.param("-- one\n-- Only words.\n-- two\nSELECT 2", "query one has no SQL", id="no SQL"),
        pytest.param(
            "-- one [oracle]\nSELECT 1", "query one: [oracle] is none of sqlite, postgres", id="unknown"
        ),
    ],
)
def test_a_malformed_file_is_refused_with_the_query_named(text, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse(text, "sqlite")


def test_every_query_has_a_user_and_every_name_used_is_there():
    sources = "".join(path.read_text() for path in Path(storage.__file__).parent.glob("*.py"))
    used = set(re.findall(r'Query\(\s*"(\w+)"', sources)) | set(re.findall(r'_run, "(\w+)"', sources))
    assert used - {"count_waiting"} == set(load("sqlite"))  # count_waiting: the example of a docstring


def test_no_query_takes_whatever_columns_there_are():
    """A statement that was prepared breaks when a migration of a newer worker adds a column to its result."""
    for name, sql in load("postgres").items():
        assert not re.search(r"\*(?!\))(?=\s*(FROM|$|,))|RETURNING\s+\*", sql), name
