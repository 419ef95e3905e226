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
    after_name = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return Usage((int(after_name[11]) + int(after_name[12])) / _TICKS, pages * _PAGE)
