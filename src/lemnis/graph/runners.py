"""Build runners: which repository's job a process belongs to, and what of others' it ran there. Pure.

The runner of GitHub lays a job's repository out in ``_work/NAME/NAME`` (on hosted machines in
``/home/runner/work/NAME/NAME``) and each action that it fetched in ``_work/_actions/OWNER/NAME/REF``; jobs
run below ``Runner.Worker``. Packages lie in folders of their name: ``node_modules`` (npm), ``site-packages``
(Python), ``pip-install-…`` as they are installed. Runners of other forges are not read.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lemnis.graph.process_tree import Started

_WORKER = "Runner.Worker"
_WORK = re.compile(r"/(?:_work|home/runner/work)/(?P<name>[^/\s'\"]+)/(?P=name)(?=[/\s'\"]|$)")
_ACTION = re.compile(r"/_actions/(?P<name>[^/\s'\"]+/[^/\s'\"]+)/(?P<ref>[^/\s'\"]+)")
_NPM = re.compile(r"node_modules/(?P<name>(?:@[^/\s'\"]+/)?[^/\s'\".@][^/\s'\"]*)")
_PIP = re.compile(r"/pip-install-\w+/(?P<name>[A-Za-z0-9][\w.-]*?)_[0-9a-f]{32}")
_SITE = re.compile(r"/(?:site|dist)-packages/(?P<name>[A-Za-z]\w*)(?=[/.\s'\"]|$)")


@dataclass(frozen=True, slots=True)
class Job:
    """A job on a runner as its folders tell it: the repository's name, and what ran in it, the last first.

    ``repository`` is the name alone, without its owner; empty where no folder says.
    """

    repository: str
    ran: tuple[Started, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What a process says of a thing: its name, the text in which that stands, and the process's event.

    ``within`` says that it ran in the thing's folder, as install scripts do; else its program lies there.
    """

    name: str
    text: str
    uid: str
    within: bool = False


def job(chain: Sequence[Started]) -> Job | None:
    """Return the job that a process (the first of its chain) ran in; None where nothing tells of one."""
    inside = []
    worker = False
    for link in chain:
        if posixpath.basename(link.program) == _WORKER:
            worker = True
            break
        inside.append(link)
    names = [found["name"] for one in inside for text in _texts(one) if (found := _WORK.search(text))]
    if not names and not (worker and inside):
        return None
    return Job(names[0] if names else "", tuple(inside))


def stands(ran: Iterable[Started], folder: str) -> Started | None:
    """Return the process nearest to the last in whose folder, program or command a folder stands."""
    wanted = re.compile(rf"{re.escape(folder)}(?=[/\s'\"]|$)")
    return next((one for one in ran if any(wanted.search(text) for text in _texts(one))), None)


def action(ran: Iterable[Started]) -> Told | None:
    """Return the action (``owner/name@ref``) out of whose folder something was run, as far as folders tell.

    A ref with a ``/`` in it is cut: who knows what the workflow uses asks ``stands``.
    """
    for one in ran:
        for text in _texts(one):
            if found := _ACTION.search(text):
                return Told(f"{found['name']}@{found['ref']}", text, one.uid)
    return None


def packages(ran: Iterable[Started]) -> Iterator[tuple[str, Told]]:
    """Yield the packages in or out of whose folders something was run: type as in package URLs, and the name.

    The nearest comes first; within one text the innermost (the last) of a package's packages. What lies
    within an action's folder is the action's.
    """
    for one in ran:
        for text in _texts(one):
            for kind, form in (
                () if _ACTION.search(text) else (("npm", _NPM), ("pypi", _PIP), ("pypi", _SITE))
            ):
                for name in reversed([found["name"] for found in form.finditer(text)]):
                    yield kind, Told(name, text, one.uid, text is one.folder)


def _texts(one: Started) -> Iterator[str]:
    """Yield where a process ran, what it was, and what it was told."""
    yield from (text for text in (one.folder, one.program, one.command) if text)
