"""python -m tests.chaos [kills | points | pairs | soak | ledger | restarts]: `make chaos`.

Exit 1 on any violation. All but `ledger` may be played on PostgreSQL: `kills` are then of several workers,
and `restarts` are of that server.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import monotonic

from tests.chaos.kills import Tally, kill_loop
from tests.chaos.ledger import ledger_loop
from tests.chaos.plays import PLAYS, QUESTION
from tests.chaos.points import Run, pairs, reached, singles
from tests.chaos.soak import Soaked, soak
from tests.chaos.workers import restarts, worker_kills
from tests.postgres import Server
from tests.processes import end_launcher

_SAMPLED = 8
"""Of the pairs of points of a longer play, every so many-th first and second one; another seed, others."""
_AT_ONCE = 8
"""Runs beside each other, where nothing else keeps the machine busy."""
PARTS = ("kills", "points", "pairs", "soak", "ledger", "restarts")


async def main(what: str, rounds: int, seed: int, *, database: str, workers: int) -> list[str]:
    """Run one part, tell what came of it, and return the violations."""
    with tempfile.TemporaryDirectory(prefix="bobbin-chaos-") as folder:
        place, server = Path(folder), None
        tally: Tally | Soaked
        if database == "postgres":
            server = await asyncio.to_thread(partial(Server.start, durable=what == "restarts"))
        match what, server:
            case "restarts", Server():
                tally = await restarts(place / "stage", server, times=rounds, seed=seed, workers=workers)
            case "kills", Server():
                tally = await worker_kills(place, server, rounds=rounds, seed=seed, workers=workers)
            case "kills", None:
                tally = await kill_loop(place, rounds=rounds, seed=seed)
            case "ledger", _:
                exact, estimated = await ledger_loop(place / "stage", kills=rounds, seed=seed)
                print(f"{rounds} kills: {exact} calls agree to the token, {estimated} are estimated")
                return []
            case "soak", _:
                tally = await soak(place, server, turns=rounds, seed=seed)
            case "pairs", _:
                wrong: list[str] = []
                for play in PLAYS:
                    every = 1 if play is QUESTION else _SAMPLED
                    runs = await pairs(
                        place / play.name, play, server, every=every, seed=seed, at_once=_AT_ONCE
                    )
                    wrong += _told(play.name, runs)
                return wrong
            case _:
                runs = []
                for play in PLAYS:
                    runs += await singles(place / play.name, play, server, at_once=_AT_ONCE)
                return _told(what, runs)
        print(*tally.lines(), sep="\n")
        return tally.wrong


def _told(what: str, runs: list[Run]) -> list[str]:
    """Tell what came of crash points; the violations."""
    asked = [run for run in runs if run.kills]
    happened = round(reached(asked) * len(asked))
    wrong = [f"{run.kills}: {wrong}" for run in runs for wrong in run.wrong]
    print(
        f"{what}: {len(asked)} crash points or pairs of them, {happened} reached, {len(wrong)} violations",
        *wrong,
        sep="\n",
        flush=True,
    )
    if happened < len(asked) * 0.95:
        wrong.append("too few of the points were reached")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("what", nargs="?", default="kills", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=100, help="kills, or turns of the soak")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--database", choices=["sqlite", "postgres"], help="sqlite, but for restarts")
    parser.add_argument("--workers", type=int, help="of kills and restarts on PostgreSQL, 3 unless told")
    options = parser.parse_args()
    what, database = (
        options.what,
        options.database or ("postgres" if options.what == "restarts" else "sqlite"),
    )
    if what == "restarts" and database != "postgres":
        parser.error("restarts are of a server: --database postgres")
    if what == "ledger" and database != "sqlite":
        parser.error("on a server the call of a killed worker is known to be lost after an hour only")
    if options.workers and (database != "postgres" or what not in ("kills", "restarts")):
        parser.error("--workers is for kills and restarts on --database postgres: all else is of one process")
    print(f"{what} on {database}, seed {options.seed}", flush=True)
    began = monotonic()
    violated = asyncio.run(
        main(what, options.rounds, options.seed, database=database, workers=options.workers or 3)
    )
    end_launcher()
    print(f"{what} on {database}, seed {options.seed}: {monotonic() - began:.0f} s")
    sys.exit(1 if violated else 0)
