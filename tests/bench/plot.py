"""Small plots, as SVG by hand: what was spent so far, turn by turn; and curves over what grows."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 720, 360, 70, 40, 44, 150
_COLOURS = ("#b4532a", "#2a6f77", "#6b5b95", "#8a8a2f", "#b07aa1", "#4e79a7")


def plot(costs: Mapping[str, Sequence[float]], title: str) -> str:
    """Return a picture of the sums of each line; dollars over turns."""
    sums = {name: list(accumulate(each)) for name, each in costs.items()}
    most = max(line[-1] for line in sums.values())
    turns = max(len(line) for line in sums.values())

    def x(turn: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * turn / turns

    def y(dollars: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * dollars / most

    shapes = [f'<text x="{_LEFT}" y="20" font-weight="bold">{title}</text>']
    for part in range(5):
        dollars, turn = most * part / 4, turns * part / 4
        shapes += [
            f'<path d="M{_LEFT} {y(dollars):.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 8}" y="{y(dollars) + 4:.1f}" text-anchor="end">${dollars:.2f}</text>',
            f'<text x="{x(turn):.1f}" y="{_HEIGHT - 22}" text-anchor="middle">{turn:.0f}</text>',
        ]
    shapes.append(f'<text x="{x(turns / 2):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">turns</text>')
    for colour, (name, line) in zip(_COLOURS, sums.items(), strict=False):
        points = " ".join(f"{x(turn + 1):.1f},{y(dollars):.1f}" for turn, dollars in enumerate(line))
        end = f'x="{x(turns) + 8:.1f}" y="{y(line[-1]) + 4:.1f}" fill="{colour}"'
        shapes += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>',
            f"<text {end}>{name} ${line[-1]:.2f}</text>",
        ]
    return _drawn(shapes)


def curves(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    axes: tuple[str, str],
) -> str:
    """Return a picture of lines over an axis on which each decade is as long as the next."""
    decades = sorted({math.log10(at) for line in lines.values() for at, _ in line})
    least, most = decades[0], decades[-1]
    high = max(value for line in lines.values() for _, value in line)

    def x(at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (math.log10(at) - least) / (most - least)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / high

    shapes = [f'<text x="{_LEFT}" y="20" font-weight="bold">{title}</text>']
    for part in range(5):
        value = high * part / 4
        shapes += [
            f'<path d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g} {axes[1]}</text>',
        ]
    for at in (10**decade for decade in decades):
        shapes.append(f'<text x="{x(at):.1f}" y="{_HEIGHT - 22}" text-anchor="middle">{at:,.0f}</text>')
    shapes.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{axes[0]}</text>')
    lowest = float("inf")
    by_end = sorted(zip(_COLOURS, lines.items(), strict=False), key=lambda each: each[1][1][-1][1])
    for colour, (name, line) in by_end:
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in line)
        lowest = min(y(line[-1][1]) + 4, lowest - 14)  # names do not stand on each other
        shapes += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>',
            f'<text x="{_WIDTH - _RIGHT + 8}" y="{lowest:.1f}" fill="{colour}">{name}</text>',
        ]
    return _drawn(shapes)


def _drawn(shapes: Sequence[str]) -> str:
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    style = 'font-family="sans-serif" font-size="12" fill="#333"'
    ground = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{ground}\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )
