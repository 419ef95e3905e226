"""Names outside the code that others rely on: commands, settings, files."""

import doctest
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bot.conversation
from bot.settings import Settings

ROOT = Path(__file__).parents[2]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_the_readmes_table_of_settings_is_that_of_the_code():
    rows = re.findall(r"^\| (`[A-Z_`or ]+`) \| (.*) \| (.*) \|$", read("README.md"), re.MULTILINE)
    assert [(variable.replace("`", ""), *rest) for variable, *rest in rows] == [
        tuple(row) for row in Settings.table()
    ]


def test_the_examples_of_the_readme_and_of_the_conversation_run():
    assert doctest.testfile(str(ROOT / "README.md"), module_relative=False) == (0, 5)
    assert doctest.testmod(bot.conversation).failed == 0


def test_what_the_procfile_names_serves_with_an_address_or_without_on_the_schema_of_its_release():
    assert read("Procfile") == "release: python -m bot migrate\nweb: python -m bot\nworker: python -m bot\n"


@pytest.mark.parametrize("target", ["run", "test", "check", "fix", "manifest"])
def test_make_knows_the_target(target: str):
    made = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("path", ["requirements.txt", "requirements-dev.txt", "requirements-postgres.txt"])
def test_requirements_are_hashed_complete_and_name_no_host(path: str):
    text = read(path)
    assert "://" not in text
    assert "--index" not in text
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    assert len(re.findall(r"^[\w.-]+==\S+(?: ;.*)? \\\n    --hash=sha256:", text, re.MULTILINE)) == len(
        pinned
    )
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = [
        extra for name, extra in project["optional-dependencies"].items() if name in path or "dev" in path
    ]
    extra = [each for extra in extras for each in extra]
    wanted = {re.split(r"[<>=[]", dependency)[0] for dependency in project["dependencies"] + extra}
    assert wanted <= set(pinned)


def test_the_readme_promises_what_it_can_and_says_whose_names_it_uses():
    readme = read("README.md").lower()
    assert "exactly once" not in readme
    assert "not affiliated with anthropic, slack or aws" in readme


def test_serving_does_not_wait_for_what_only_commands_need():
    check = "import bot.app, sys; print({'bot.progress', 'bot.upkeep', 'bot.export'} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"
