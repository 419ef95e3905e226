"""What reading a thread costs, in short: the whole table is `docs/cost.md`'s."""

from pathlib import Path

from tests.bench.cost import PACES, Thread, thread
from tests.bench.figures import Promise, Section, table

_MODEL = "us.anthropic.claude-sonnet-5-5"
TURNS, _LONG = 60, 25
_LIMIT = 1.05


async def measure(place: Path) -> Section:
    """Threads of one model, at three paces, by the turns that they had."""
    del place
    rows, worst = [], 0.0
    for pace in PACES:
        whole = await thread(_MODEL, pace, TURNS)
        for turns in (5, _LONG, TURNS):
            one = Thread(_MODEL, pace, whole.usages[:turns])
            cost, without = sum(one.costs), sum(one.uncached)
            worst = max(worst, cost / one.optimum if turns >= _LONG else 0)
            share = [f"{cost / without:.3f}", f"${one.optimum:.4f}", f"{cost / one.optimum:.3f}"]
            rows.append([pace, turns, f"${without:.4f}", f"${cost:.4f}", *share])
    head = ["pace", "turns", "no cache", "Bobbin", "of that", "optimum", "Bobbin / optimum"]
    promise = Promise(
        f"input cost of threads of {_LONG} turns and more",
        f"≤ {_LIMIT} × optimum",
        f"{worst:.3f}",
        worst <= _LIMIT,
    )
    return Section("Money", f"{_TEXT}\n\n{table(head, rows)}", [promise])


_TEXT = """What the model's input costs in a thread, Claude Sonnet 5.5, 400 tokens more with each turn.
*Optimum* is the cheapest plan of all, made by somebody who knows the pace and the end of the thread; Bobbin
finds the pace out, which in short threads shows.
[What a thread costs to read](cost.md) tells more, with a plot."""
