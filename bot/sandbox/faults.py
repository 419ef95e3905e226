"""Faults put in on purpose, which wait for what they befall."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar


class _Counted(Protocol):
    times: int | None


F = TypeVar("F", bound=_Counted)


class Faults(Generic[F]):
    """Faults of one kind, oldest first; each befalls so many as its `times` says (None: all)."""

    def __init__(self, kind: Callable[..., F]) -> None:
        self._kind = kind
        self._waiting: list[F] = []

    def add(self, *what: str, **options: Any) -> F:
        """Put in a fault; the arguments are its fields."""
        self._waiting.append(self._kind(*what, **options))
        return self._waiting[-1]

    def clear(self) -> None:
        """Take out all faults."""
        self._waiting.clear()

    def take(self, befalls: Callable[[F], bool] = lambda _: True) -> F | None:
        """Return the first fault that befalls this one, used up by it."""
        fault = next((each for each in self._waiting if each.times != 0 and befalls(each)), None)
        if fault and fault.times:
            fault.times -= 1
        return fault
