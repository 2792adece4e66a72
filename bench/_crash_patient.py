"""Loaded by the crash campaign's fork server: who asks it for a process and is killed does not end it."""

from __future__ import annotations

import errno
import socket
from multiprocessing import reduction

_recvfds = reduction.recvfds


def recvfds(sock: socket.socket, size: int) -> list[int]:
    """Receive descriptors; raises what the fork server passes over where the other side is gone."""
    try:
        return _recvfds(sock, size)
    except EOFError as error:
        raise ConnectionAbortedError(errno.ECONNABORTED, "who asked is gone") from error


reduction.recvfds = recvfds
