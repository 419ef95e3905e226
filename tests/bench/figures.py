"""Medians, ratios and their spread, and the tables they are told in."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Promise:
    """One line of what the bench must show."""

    what: str
    limit: str
    measured: str
    held: bool

    @property
    def row(self) -> str:
        """As a row of the table."""
        return f"| {self.what} | {self.limit} | {self.measured} | {'yes' if self.held else '**no**'} |"


@dataclass
class Section:
    """What a part found, as Markdown; `plots` are SVG by their file's name."""

    title: str
    text: str
    promises: list[Promise] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest rank: a value that was measured."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True)
class Ratio:
    """Bobbin's figure over the floor's: the median of the rounds, and the least and greatest."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f}–{self.most:.2f})"


def ratio(ours: Sequence[float], floors: Sequence[float]) -> Ratio:
    """Of figures of the same rounds, in pairs."""
    each = [mine / theirs for mine, theirs in zip(ours, floors, strict=True)]
    return Ratio(median(each), min(each), max(each))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """As Markdown; all but the first column stand to the right."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def ms(seconds: float) -> str:
    """Milliseconds, with as many digits as make sense."""
    value = 1000 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
