"""How far long work is, for a person at a terminal; nothing where nobody looks.

A line of our own: structlog imports a library for this wherever it finds one, a tenth of a second at the
start of every command, and of Bobbin.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ERASE = "\r\x1b[K"


@contextmanager
def progress(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show it on standard error while the block runs; to be called with what is done, and of how much."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return

    def show(done: int, total: int) -> None:
        sys.stderr.write(f"{_ERASE}{words}: {100 * done // max(total, 1)} %")
        sys.stderr.flush()

    try:
        show(0, 1)
        yield show
    finally:
        sys.stderr.write(_ERASE)
        sys.stderr.flush()
