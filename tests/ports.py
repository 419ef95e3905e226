"""Ports of loopback for processes that are yet to listen on them."""

import socket

_HELD: list[socket.socket] = []


def free_port() -> int:
    """A port that is nobody's and stays so, until the tests end, but for whoever is told to listen on it.

    The socket that keeps it does not listen, so a server whose socket has SO_REUSEADDR may, as servers' do;
    and the system gives a port that is bound to nobody who asks for any.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    return int(held.getsockname()[1])
