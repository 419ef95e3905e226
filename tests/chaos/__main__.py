"""python -m tests.chaos [kills | points | pairs | soak | ledger | restarts]: `make chaos`.

Exit 1 on any violation. `kills` may be of several workers on one PostgreSQL; `restarts` are of that server.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import monotonic

from tests.chaos.kills import kill_loop
from tests.chaos.ledger import ledger_loop
from tests.chaos.plays import PLAYS, QUESTION
from tests.chaos.points import pairs, reached, singles
from tests.chaos.soak import soak
from tests.chaos.workers import restarts, worker_kills
from tests.postgres import Server
from tests.processes import end_launcher

_SAMPLED = 8
"""Of the pairs of points of a longer play, every so many-th first and second one."""
PARTS = ("kills", "points", "pairs", "soak", "ledger", "restarts")


async def main(what: str, rounds: int, seed: int, *, workers: int = 0) -> list[str]:
    """Run one part, tell what came of it, and return the violations."""
    with tempfile.TemporaryDirectory(prefix="bobbin-chaos-") as folder:
        place = Path(folder)
        if what == "restarts":
            server = await asyncio.to_thread(partial(Server.start, durable=True))
            tally = await restarts(place / "stage", server, times=rounds, seed=seed, workers=workers or 3)
            print(*tally.lines(), sep="\n")
            return tally.wrong
        if what == "kills" and workers:
            server = await asyncio.to_thread(Server.start)
            tally = await worker_kills(place, server, rounds=rounds, seed=seed, workers=workers)
            print(*tally.lines(), sep="\n")
            return tally.wrong
        if what == "kills":
            tally = await kill_loop(place, rounds=rounds, seed=seed)
            print(*tally.lines(), sep="\n")
            return tally.wrong
        if what == "ledger":
            exact, estimated = await ledger_loop(place / "stage", kills=rounds, seed=seed)
            print(f"{rounds} kills: {exact} calls agree to the token, {estimated} are estimated")
            return []
        if what == "soak":
            told = await soak(place, turns=rounds, seed=seed)
            print(*told.lines(), sep="\n")
            return told.wrong
        if what == "pairs":
            runs = []
            for play in PLAYS:
                every = 1 if play is QUESTION else _SAMPLED
                runs += await pairs(place / play.name, play, every=every, at_once=8)
        else:
            runs = [run for play in PLAYS for run in await singles(place / play.name, play)]
    asked = [run for run in runs if run.kills]
    happened = round(reached(asked) * len(asked))
    wrong = [f"{run.kills}: {wrong}" for run in runs for wrong in run.wrong]
    print(
        f"{len(asked)} crash points or pairs of them, {happened} reached, {len(wrong)} violations",
        *wrong,
        sep="\n",
    )
    if happened < len(asked) * 0.95:
        wrong.append("too few of the points were reached")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("what", nargs="?", default="kills", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=100, help="kills, or turns of the soak")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--database", default="sqlite", choices=["sqlite", "postgres"])
    parser.add_argument("--workers", type=int, default=3, help="on PostgreSQL")
    options = parser.parse_args()
    began = monotonic()
    several = options.workers if options.database == "postgres" else 0
    violated = asyncio.run(main(options.what, options.rounds, options.seed, workers=several))
    end_launcher()
    print(f"{options.what}, seed {options.seed}: {monotonic() - began:.0f} s")
    sys.exit(1 if violated else 0)
