"""Faults put in on purpose, which wait for what they befall."""

from collections.abc import Callable
from typing import Any


class Faults:
    """Faults of one kind, oldest first; each befalls so many as its `times` says (None: all)."""

    def __init__(self, kind: Callable[..., Any]) -> None:
        self._kind = kind
        self._waiting: list[Any] = []

    def add(self, *what: str, **options: Any) -> Any:
        """Put in a fault, and return it; the arguments are its fields."""
        self._waiting.append(self._kind(*what, **options))
        return self._waiting[-1]

    def clear(self) -> None:
        """Take out all faults."""
        self._waiting.clear()

    def take(self, befalls: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return the first fault that befalls this one, used up by it; None where there is none."""
        fault = next((each for each in self._waiting if each.times != 0 and befalls(each)), None)
        if fault and fault.times:
            fault.times -= 1
        return fault
