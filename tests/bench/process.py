"""What a process uses, as Linux tells it."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


@dataclass(frozen=True)
class Usage:
    """CPU in seconds, of all threads, in user and system; memory in bytes, resident."""

    cpu: float
    rss: int


def usage(pid: int) -> Usage:
    """Read it from /proc."""
    after_name = _stat(pid)
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return Usage((int(after_name[11]) + int(after_name[12])) / _TICKS, pages * _PAGE)


def family(pid: int) -> float:
    """CPU in seconds of a process and its children, those that have ended too."""
    mine = _stat(pid)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    ticks = [int(each) for each in mine[11:15]]  # its own; of children that it has waited for
    for child in children:
        ticks += [int(each) for each in _stat(int(child))[11:13]]
    return sum(ticks) / _TICKS


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
