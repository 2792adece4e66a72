"""Whether somebody goes on with runs that wait: `lemnis serve` says so as long as it lives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from lemnis import app
from lemnis.respond.approval import Standing

State = Literal["begins", "waits_for_approval", "waits_for_serve"]
_LOCK = 0x1E3416
"""The advisory lock on PostgreSQL; any number hold it together."""


@contextmanager
def present(workspace: app.Workspace) -> Iterator[None]:
    """Be there for runs while the block lasts; a process that is killed is there no more."""
    if not _shared():
        handle = os.open(_file(workspace), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield
        finally:
            os.close(handle)
        return
    engine = app.engine(workspace)
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock_shared(_LOCK)))
            connection.commit()
            yield  # the session holds the lock; it is free when the session ends, however it ends
            connection.execute(sa.select(sa.func.pg_advisory_unlock_shared(_LOCK)))
    finally:
        engine.dispose()


def attended(workspace: app.Workspace) -> bool:
    """Say whether anybody is there for runs, on this machine or, with PostgreSQL, on any."""
    if not _shared():
        handle = os.open(_file(workspace), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False
    engine = app.engine(workspace)
    try:
        with engine.connect() as connection:
            free = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(_LOCK))).scalar())
            if free:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK)))
            return not free
    finally:
        engine.dispose()


def awaited(workspace: app.Workspace, approval: Standing) -> tuple[State, str]:
    """Return what a run that was asked for waits for, as a word and for people."""
    there = attended(workspace)
    then = "" if there else "; no `lemnis serve` runs that would begin it"
    if approval.missing:
        many = "one approval" if approval.missing == 1 else f"{approval.missing} approvals"
        return "waits_for_approval", f"it waits for {many}{then}"
    if not there:
        return "waits_for_serve", "it begins when `lemnis serve` runs, which it does not now"
    return "begins", "`lemnis serve` begins it now"


def _shared() -> bool:
    return os.environ.get("LEMNIS_DATABASE_URL", "").startswith("postgresql")


def _file(workspace: app.Workspace) -> Path:
    folder = workspace.state / "locks"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / "respond-present"
