"""What is read as soon as the console listens, so that nobody's first page waits for it.

One thread does it, one thing after the other. What it cannot read, the page that shows it meets again and
tells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from lemnis.app import query
from lemnis.contracts.errors import LemnisError
from lemnis.interfaces.web import loop, sources
from lemnis.interfaces.web.site import Seen, Site

LOG = logging.getLogger("lemnis.console")


def begin(site: Site) -> threading.Thread:
    """Begin; return the thread that does it."""
    made = threading.Thread(target=_warm, args=(site,), daemon=True, name="what pages will show")
    made.start()
    return made


def _warm(site: Site) -> None:
    for step in (_board, _templates, _loop, sources.look, _lake):
        _tried(step, site)


def _tried(step: Callable[[Site], object], site: Site) -> None:
    try:
        step(site)
    except LemnisError as error:
        LOG.info("it is read when a page asks for it: %s", error)
    except Exception:
        LOG.exception("what pages show cannot be read")


def _board(site: Site) -> None:
    site.board.begin().join()


def _templates(site: Site) -> None:
    for name in site.templates.list_templates():
        site.templates.get_template(name)


def _loop(site: Site) -> None:
    """Count the loop once for nobody: what it takes is loaded then."""
    loop.look(site, Seen("", site.board, None))


def _lake(site: Site) -> None:
    """Ask the lake once: its files' footers, and what reads them, are at hand then."""
    query.histogram(site.workspace, "", bars=1)
