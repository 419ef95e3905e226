"""docs/performance.md: a section for each part, and above them what they must show, gathered from all."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import Section

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "performance.md"
_HEAD = ("| what | must be | measured | held |", "|---|---|---:|---|")
_PROMISES = re.compile(r"<!-- promises -->\n.*?\n\|---\|---\|---:\|---\|\n(.*?)\n\n", re.DOTALL)


def write(name: str, section: Section) -> None:
    """Put a part's section in the place of its last one."""
    for file, picture in section.plots.items():
        (DOCS / file).write_text(picture, "utf-8")
    text = [f"## {section.title}", "", section.text, "", f"Measured {_when_and_where()}.", ""]
    if section.promises:
        rows = [promise.row for promise in section.promises]
        text[2:2] = ["<!-- promises -->", *_HEAD, *rows, ""]
    page = _put(PAGE.read_text("utf-8"), name, "\n".join(text))
    gathered = [row for rows in _PROMISES.findall(page) for row in rows.splitlines()]
    page = _put(page, "summary", "\n".join([*_HEAD, *gathered, ""]))
    PAGE.write_text(page, "utf-8")


def _put(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{PAGE} has no place for {name}")
    return f"{before}{begin}{text}{end}{after}"


def _when_and_where() -> str:
    cpus = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    cpu = cpus[1] if cpus else platform.machine()
    busy = os.getloadavg()[0]
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False, cwd=DOCS,
    )  # fmt: skip
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    code = f", commit {git.stdout.strip()}" if git.returncode == 0 else ""
    return f"{at}{code}, Python {platform.python_version()}, {os.cpu_count()} cores ({cpu}), load {busy:.1f}"
