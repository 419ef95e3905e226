"""Starts Bobbin processes fast: everything is imported once, then each process is a fork that runs a command.

`python -m tests.launcher FD` listens on a socket that it inherits. Each connection is for one process. In
comes one line of JSON, an order: `arguments` as of `python`, `environment`, `cwd`, and the files to append
`output` and `errors` to. Out comes `{"pid"}` once it runs and `{"exit"}` when it has ended, negative for a
signal. A process whose connection is closed is killed; all are when standard input ends.
"""

import asyncio
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from typing import Any

import botocore.loaders
import botocore.session

import bot.__main__
import bot.app
import bot.bedrock
import bot.bedrock_doctor
import bot.doctor
import bot.sandbox.command
import bot.usage

Connections = dict[socket.socket, int]
"""Each connection, and the process it is for; 0 before there is one."""


def read_ahead() -> None:
    """Read AWS's descriptions of its services, which is half of what a fork would have to do at its start."""
    loader = botocore.loaders.create_loader()
    botocore.session.create_loader = lambda *_: loader

    async def open_once() -> None:
        async with bot.bedrock.open_model(None, region="us-east-1"):
            pass

    asyncio.run(open_once())


def run(order: dict[str, Any]) -> None:
    """Be `python ARGUMENTS`, in a fork of its own."""
    for number, name in ((0, os.devnull), (1, order["output"]), (2, order["errors"])):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT if number else os.O_RDONLY
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    how, what, *arguments = order["arguments"]
    sys.argv = [how, *arguments]
    if how == "-c":
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    elif what == "bot":  # imported already: running the module anew would take it as a second one
        sys.exit(bot.__main__.main())
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def serve(listening: socket.socket) -> None:
    """Fork until standard input ends."""
    connections: Connections = {}
    wakes, wake = os.pipe()
    for end in (wakes, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        for source in (sys.stdin.fileno(), wakes, listening):
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                source = key.fileobj
                if source == sys.stdin.fileno():
                    for pid in filter(None, connections.values()):
                        os.kill(pid, signal.SIGKILL)
                    return
                if source == wakes:
                    os.read(wakes, 512)
                    _tell_ends(connections, selector)
                elif source is listening:
                    connection, _ = listening.accept()
                    connections[connection] = 0
                    selector.register(connection, selectors.EVENT_READ)
                elif isinstance(source, socket.socket) and source in connections:
                    _hear(source, connections, (selector, listening, wakes, wake))


def _hear(connection: socket.socket, connections: Connections, ours: tuple[Any, ...]) -> None:
    """Start what a connection asks for; kill it where the connection was closed."""
    if connections[connection]:  # after its order nothing comes but the end
        os.kill(connections[connection], signal.SIGKILL)
        ours[0].unregister(connection)
        return
    with connection.makefile("rb") as lines:
        line = lines.readline()
    if not line:
        ours[0].unregister(connection)
        connection.close()
        del connections[connection]
        return
    pid = os.fork()
    if pid == 0:
        _be(json.loads(line), [*connections], *ours)
    connections[connection] = pid
    _tell(connection, pid=pid)


def _be(
    order: dict[str, Any],
    connections: list[socket.socket],
    selector: selectors.BaseSelector,
    listening: socket.socket,
    *pipes: int,
) -> None:
    """Run an order in the fork, which ends here and keeps nothing of the launcher."""
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        selector.close()
        for each in (*connections, listening):
            each.close()
        for pipe in pipes:
            os.close(pipe)
        run(order)
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  the fork must not run on as a second launcher
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tell_ends(connections: Connections, selector: selectors.BaseSelector) -> None:
    for connection, pid in list(connections.items()):
        ended, status = os.waitpid(pid, os.WNOHANG) if pid else (0, 0)
        if ended:
            _tell(connection, exit=os.waitstatus_to_exitcode(status))
            if connection in selector.get_map():
                selector.unregister(connection)
            connection.close()
            del connections[connection]


def _tell(connection: socket.socket, **told: int) -> None:
    try:
        connection.sendall(json.dumps(told).encode() + b"\n")
    except OSError:
        return  # nobody waits for it any more


if __name__ == "__main__":
    read_ahead()
    gc.collect()
    gc.freeze()  # what all forks share stays shared
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited)
