"""Starts Bobbin processes fast: everything is imported once, then each process is a fork that runs `main`.

Lines of JSON come in on standard input, each with the environment, the directory and the log of a process
to start; lines of JSON go out: `{"pid"}` once it runs, `{"pid", "exit"}` when it has ended, negative for a
signal.
"""

import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

import bot.__main__
import bot.app  # what a fork shall not have to import
from tests.chaos.hooks import MUTANTS, Points, install, steal_first_reply, take_census


def run(order: dict[str, Any]) -> int:
    """Be Bobbin, in a fork of its own."""
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    if order.get("mutant"):
        MUTANTS[order["mutant"]]()
    if order.get("steal"):
        steal_first_reply(order["steal"])
    if order.get("census"):
        take_census(Path(order["census"]))
    if order.get("points"):
        kill_at = order.get("kill_at")
        install(Points(Path(order["points"]), (kill_at[0], kill_at[1]) if kill_at else None))
    sys.argv = ["bot"]
    return bot.__main__.main()


def serve() -> None:
    """Fork until standard input ends."""
    children: set[int] = set()
    wakes, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waiting = b""
    while True:
        ready, _, _ = select.select([0, wakes], [], [])
        if wakes in ready:
            os.read(wakes, 512)
            for child in list(children):
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    children.discard(pid)
                    print(json.dumps({"pid": pid, "exit": os.waitstatus_to_exitcode(status)}), flush=True)
        if 0 in ready:
            more = os.read(0, 65536)
            if not more:
                break
            *lines, waiting = (waiting + more).split(b"\n")
            for line in lines:
                children.add(_fork(json.loads(line), wakes, wake))
    for child in children:
        os.kill(child, signal.SIGKILL)


def _fork(order: dict[str, Any], *pipes: int) -> int:
    pid = os.fork()
    if pid:
        print(json.dumps({"pid": pid}), flush=True)
        return pid
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for pipe in pipes:
        os.close(pipe)
    code = 70
    try:
        code = run(order)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  the fork must not run on as a second launcher
        import traceback  # noqa: PLC0415

        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
