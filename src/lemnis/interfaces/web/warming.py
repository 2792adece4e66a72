"""What is read as soon as the console listens, so that nobody's first page waits for it.

One thread does it, one thing after the other. What it cannot read, the page that shows it meets again and
tells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from lemnis.app import query
from lemnis.app.access.personal import Personal
from lemnis.contracts.errors import LemnisError
from lemnis.interfaces.web import (
    detections,
    entity,
    loop,
    pipeline_exceptions,
    pipeline_findings,
    posture,
    queue,
    sources,
)
from lemnis.interfaces.web.site import Seen, Site

if TYPE_CHECKING:
    from lemnis.app.access.service import Access

LOG = logging.getLogger("lemnis.console")
Step = Callable[[Site], object]


def begin(site: Site, access: Access | None = None) -> threading.Thread:
    """Begin; return the thread that does it. With ``access`` what is personal is read too."""
    made = threading.Thread(target=_warm, args=(site, access), daemon=True, name="what pages will show")
    made.start()
    return made


def _warm(site: Site, access: Access | None) -> None:
    """Read first what needs no board, while that is read: pages come as soon as it is there."""
    before: tuple[Step, ...] = (lambda one: _labels(one, access), _templates, sources.look, _pipeline)
    then: tuple[Step, ...] = (queue.everything, _loop, _entities, _detections, _lake)
    reading = site.board.begin()
    for step in before:
        _tried(step, site)
    reading.join()
    for step in then:
        _tried(step, site)


def _tried(step: Step, site: Site) -> None:
    try:
        step(site)
    except LemnisError as error:
        LOG.info("it is read when a page asks for it: %s", error)
    except Exception:
        LOG.exception("what pages show cannot be read")


def _templates(site: Site) -> None:
    for name in site.templates.list_templates():
        site.templates.get_template(name)


def _labels(site: Site, access: Access | None) -> None:
    """Read what is personal: no page is shown without."""
    if access is not None:
        found: Personal = site.once.setdefault("personal", Personal(access))
        found.masker  # noqa: B018 - it reads


def _loop(site: Site) -> None:
    """Count the loop once for nobody: what it takes is loaded then."""
    loop.look(site, Seen("", site.board, None))


def _entities(site: Site) -> None:
    entity.indexed(site, site.board.look())


def _pipeline(site: Site) -> None:
    pipeline_findings.known(site)
    pipeline_exceptions.known(site)
    posture.config(site)


def _detections(site: Site) -> None:
    """Read the rules; their tests are begun, in a process beside."""
    everyone = Seen("", site.board, None)
    detections.counts(site, everyone)
    detections.now(site, everyone)


def _lake(site: Site) -> None:
    """Ask the lake once: its files' footers, and what reads them, are at hand then."""
    query.histogram(site.workspace, "", bars=1)
