"""python -m tests.bench.sampled FILE: Bobbin under a sampler of its own; what it saw is written at the end.

A timer that counts the CPU time of the whole process interrupts the main thread every two milliseconds of it;
the innermost frame, and who called it, are counted. It costs nearly nothing and needs no rights, unlike what
looks at a process from outside. Where the main thread waits, another one (SQLite's) has used the time.
"""

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from bot.__main__ import main

EVERY_SECONDS = 0.002
_DEEP = 60
seen: Counter[tuple[str, ...]] = Counter()


def look(_: int, frame: FrameType | None) -> None:
    """Count where the main thread is: the innermost frame first."""
    stack: list[str] = []
    while frame is not None and len(stack) < _DEEP:
        stack.append(f"{frame.f_globals.get('__name__')}:{frame.f_code.co_name}")
        frame = frame.f_back
    seen[tuple(stack)] += 1


def forget(_: int, __: FrameType | None) -> None:
    """Begin anew."""
    seen.clear()


if __name__ == "__main__":
    file = Path(sys.argv.pop())
    signal.signal(signal.SIGPROF, look)
    signal.signal(signal.SIGUSR1, forget)
    signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
    try:
        code = main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        file.write_text(json.dumps([[count, stack] for stack, count in seen.most_common()]), "utf-8")
    sys.exit(code)
