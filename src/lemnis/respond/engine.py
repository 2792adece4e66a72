"""Runs of playbooks as durable workflows (DBOS): a run that was killed goes on where it was.

DBOS keeps which part a run has reached, in SQLite or PostgreSQL; a part that was killed in the middle is done
again, and the effect ledger makes that harmless. A process has one engine, and as many runs at once as it has
threads; that no two processes work on the same run is its caller's care. A run that must wait for a person or
for time ends its workflow: another one goes on over the same ledger when the wait is over.
Values are kept as JSON, never as pickles. DBOS writes to the logger ``dbos`` and prints nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

from lemnis.contracts.errors import ServiceError
from lemnis.store import durable

VERSION = "playbooks-2"
"""Names the shape of the workflow below: runs are only taken up by a version that has the same shape."""
GOES_ON = "goes on"
_POLL_SECONDS = 0.05
_BUSY_SECONDS = 30
_LIVING = frozenset({"PENDING", "ENQUEUED", "DELAYED"})


@dataclass(frozen=True, slots=True)
class Work:
    """What a run consists of: so many parts, done in order.

    ``part`` does one and returns ``GOES_ON``, or how the run ends or waits; ``finish`` is given that, writes
    down how the run ended and returns what the engine returns. Both may be called again for what they did.
    """

    parts: int
    part: Callable[[int], str]
    finish: Callable[[str], str]


_work: dict[str, Work] = {}


class _Json(Serializer):
    """Keeps values as JSON, and errors as their text."""

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            data = {"error": f"{type(data).__name__}: {data}"}
        return orjson.dumps(data).decode()

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - as the base class has it
        data = orjson.loads(serialized_data)
        failed = isinstance(data, dict) and set(data) == {"error"}
        return ServiceError(f"the run broke off: {data['error']}") if failed else data

    def name(self) -> str:
        return "lemnis_json"


class Engine:
    """DBOS, for as long as it is open; a context manager. Only one is open in a process at a time."""

    def __init__(self, database_url: str) -> None:
        """``database_url`` is SQLAlchemy's, of SQLite or PostgreSQL."""
        self._url = database_url
        self._database: sa.Engine | None = None

    def __enter__(self) -> Self:
        """Begin."""
        logger = logging.getLogger("dbos")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())  # else DBOS adds one that writes to the terminal
        config: DBOSConfig = {
            "name": "lemnis",
            "system_database_url": self._url,
            "executor_id": f"lemnis-{uuid.uuid4()}",  # so that nothing is taken up that nobody asked for
            "application_version": VERSION,
            "serializer": _Json(),
            "log_level": "WARNING",
            "enable_otlp": False,
            "notification_listener_polling_interval_sec": _POLL_SECONDS,
            "max_executor_threads": 8,
        }
        if self._url.startswith("sqlite"):
            self._database = config["system_database_engine"] = _sqlite(self._url)
        try:
            DBOS(config=config)
            DBOS.launch()
        except Exception as error:
            self._close()
            raise _broken(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._close()

    def _close(self) -> None:
        DBOS.destroy()
        if self._database is not None:
            self._database.dispose()

    def run(self, run_id: str, work: Work) -> str:
        """Do a run until it ends or waits, or take it up where it was killed; return what ``finish`` did.

        Raises ServiceError if it breaks off for a reason that is no action's failure; calling again goes on.
        """
        _work[run_id] = work
        try:
            with SetWorkflowID(_attempt(run_id)):
                return str(_run(run_id))
        except ServiceError:
            raise
        except Exception as error:
            raise _broken(error) from error
        finally:
            del _work[run_id]


def run(run_id: str, work: Work, database_url: str) -> str:
    """Do one run with an engine of its own; see ``Engine.run``."""
    with Engine(database_url) as engine:
        return engine.run(run_id, work)


def _broken(error: Exception) -> ServiceError:
    return ServiceError(
        f"the run broke off: {type(error).__name__}: {error}", fix="run it again: it goes on where it was"
    )


def _sqlite(url: str) -> sa.Engine:
    """Open SQLite with a write-ahead log.

    A crash of the machine may forget the last parts, which are done again then; the ledger has its own file.
    """
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def _set(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
        durable.write_ahead(connection, _BUSY_SECONDS)
        for pragma in ("foreign_keys=ON", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _attempt(run_id: str) -> str:
    """Return the id of the workflow to do: a new one after each that ended, waits or was killed."""
    number = 1
    while True:
        name = f"{run_id}.{number}"
        status = DBOS.get_workflow_status(name)
        if status is None:
            return name
        if status.status in _LIVING:
            DBOS.cancel_workflow(name)  # its process is gone, else this one would not be asked
        number += 1


@DBOS.workflow(name="lemnis.playbook", max_recovery_attempts=1_000_000)
def _run(run_id: str) -> str:
    said = GOES_ON
    for number in range(_work[run_id].parts):
        said = _part(run_id, number)
        if said != GOES_ON:
            break
    return _finish(run_id, said)


@DBOS.step(name="lemnis.part")
def _part(run_id: str, number: int) -> str:
    return _work[run_id].part(number)


@DBOS.step(name="lemnis.finish")
def _finish(run_id: str, said: str) -> str:
    return _work[run_id].finish(said)
