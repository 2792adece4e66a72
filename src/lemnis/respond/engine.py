"""Runs of playbooks as durable workflows (DBOS): a run that was killed goes on where it was.

DBOS keeps which step a run has reached, in SQLite or PostgreSQL; a step that was killed in the middle is done
again, and the effect ledger makes that harmless. One process works on runs at a time (the caller sees to it).
Values are kept as JSON, never as pickles. DBOS writes to the logger ``dbos`` and prints nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID, WorkflowHandle

from lemnis.contracts.errors import ServiceError

VERSION = "playbooks-1"
"""Names the shape of the workflow below: runs are only taken up by a version that has the same shape."""
_POLL_SECONDS = 0.05
_LIVING = frozenset({"PENDING", "ENQUEUED", "DELAYED"})


@dataclass(frozen=True, slots=True)
class Work:
    """What a run consists of: groups of actions, done in order; those of a group at the same time.

    ``carry_out`` does one action and says whether the run may go on; ``finish`` writes down how it ended.
    Both may be called again for what they did already.
    """

    groups: Sequence[Sequence[int]]
    carry_out: Callable[[int], bool]
    finish: Callable[[bool], str]


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


def run(run_id: str, work: Work, database_url: str) -> str:
    """Do a run to its end, or take it up where it was killed; return what ``finish`` returned.

    Raises ServiceError if it breaks off for a reason that is no action's failure; calling again goes on.
    """
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else DBOS adds one that writes to the terminal
    config: DBOSConfig = {
        "name": "lemnis",
        "system_database_url": database_url,
        "executor_id": run_id,  # so that only this run is taken up
        "application_version": VERSION,
        "serializer": _Json(),
        "log_level": "WARNING",
        "enable_otlp": False,
        "notification_listener_polling_interval_sec": _POLL_SECONDS,
        "max_executor_threads": 8,
    }
    _work[run_id] = work
    try:
        DBOS(config=config)
        DBOS.launch()
        name, begun = _attempt(run_id)
        if begun:  # launching has taken it up already
            handle: WorkflowHandle[str] = DBOS.retrieve_workflow(name)
            return str(handle.get_result(polling_interval_sec=_POLL_SECONDS))
        with SetWorkflowID(name):
            return str(_run(run_id))
    except ServiceError:
        raise
    except Exception as error:
        raise ServiceError(
            f"the run broke off: {type(error).__name__}: {error}", fix="run it again: it goes on where it was"
        ) from error
    finally:
        DBOS.destroy()
        del _work[run_id]


def _attempt(run_id: str) -> tuple[str, bool]:
    """Return the id of the workflow to do, a new one after each that broke off, and whether it is begun."""
    number = 1
    while True:
        name = f"{run_id}.{number}"
        status = DBOS.get_workflow_status(name)
        if status is None or status.status in _LIVING:
            return name, status is not None
        number += 1


@DBOS.workflow(name="lemnis.playbook", max_recovery_attempts=1_000_000)
def _run(run_id: str) -> str:
    work = _work[run_id]
    complete = True
    for number in range(len(work.groups)):
        complete = _group(run_id, number)
        if not complete:
            break
    return _finish(run_id, complete)


@DBOS.step(name="lemnis.group")
def _group(run_id: str, number: int) -> bool:
    work = _work[run_id]
    group = work.groups[number]
    if len(group) == 1:
        return work.carry_out(group[0])
    with ThreadPoolExecutor(max_workers=min(len(group), 8)) as pool:
        return all(list(pool.map(work.carry_out, group)))


@DBOS.step(name="lemnis.finish")
def _finish(run_id: str, complete: bool) -> str:  # noqa: FBT001 - a step's arguments are kept by place
    return _work[run_id].finish(complete)
