"""Goes to every page of the console: to what has an address of its own, and to others by a link to them.

Which pages there are comes from the console's own routes, so a new page joins by itself; one that no link
leads to is told. Used by docs/screenshots.py for pictures, and by the tests that look at every page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from playwright.sync_api import Page
from starlette.routing import Route

from lemnis.interfaces.web.app import PAGES

PARTS = {
    "/search/bars": "the histogram, put into the search",
    "/search/fields": "the fields, put into the search",
    "/search/more": "what is further back, put into the search",
    "/search/complete": "JSON",
    "/search/export": "a file",
    "/posture/evidence/{id:path}": "a file",
}
"""Routes that are no page of their own, and what they are."""
ALONE = {"/sign-in", "/welcome/{key}"}
"""Pages for whoever is not signed in."""
UNTOLD = {
    "/case/{id}": "no incident of the demo is in a case",
    "/posture/checks/{name}": "no check of configuration fails in the demo",
    "/posture/paths/{id}": "no way leads from outside to personal data in the demo",
}
"""Pages that the demo has nothing for, and why; the tests of their own rooms look at them."""
SHOWN = {
    "/queue": "/queue?show=closed",
    "/search": "/search?span=all",
    "/entity": "/entity?name=host%3Anode-1",
}
"""What of a page has the most to see with the demo's data."""
BUSY = "[aria-busy=true], [data-load] > .loading, [data-again]"
"""What a page has while something is worked out beside it."""
PATIENCE_MS = 240_000
_PARAMETER = re.compile(r"\{[^}]+\}")


@dataclass(frozen=True, slots=True)
class Place:
    """A page: what its picture is called, its route, and an address that shows it."""

    name: str
    route: str
    address: str


def routes() -> dict[str, str]:
    """Return the route of each page for whoever is signed in, by the page's name."""
    every = [route for page in PAGES for route in page.ROUTES if isinstance(route, Route)]
    paths = dict.fromkeys(route.path for route in every if "GET" in (route.methods or ()))
    named: dict[str, str] = {}
    for path in sorted(paths.keys() - PARTS.keys() - ALONE - UNTOLD.keys(), key=[*paths].index):
        words = path.strip("/").split("/")
        short = "-".join(word for word in words if not word.startswith("{")) or "loop"
        longer = "-".join(word.strip("{}").partition(":")[0] for word in words)
        named[short if short not in named else longer] = path
    return named


def walk(page: Page, base: str) -> Iterator[Place]:
    """Go to each page once; yield it while it is there. Raises LookupError for what nothing leads to."""
    names = {path: name for name, path in routes().items()} | dict.fromkeys(UNTOLD, "")
    shapes = {path: re.compile(_shape(path) + r"(\?.*)?") for path in names if "{" in path}
    ahead = [(path, SHOWN.get(path, path)) for path in names if "{" not in path]
    while ahead:
        path, address = ahead.pop(0)
        go(page, base + address)
        found = page.eval_on_selector_all("main a[href]", "all => all.map((one) => one.getAttribute('href'))")
        links = [one.partition("#")[0] for one in found if one not in names]
        led = {to: link for link in reversed(links) for to, shape in shapes.items() if shape.fullmatch(link)}
        shapes = {to: shape for to, shape in shapes.items() if to not in led}
        ahead = [*((to, led[to]) for to in names if to in led and to not in UNTOLD), *ahead]
        yield Place(names[path], path, address)
    if shapes.keys() != UNTOLD.keys():
        raise LookupError(f"no page leads to {sorted(shapes)}, and it is known of {sorted(UNTOLD)}")


def _shape(path: str) -> str:
    return _PARAMETER.sub(lambda found: r"[^?#]+" if found[0].endswith(":path}") else r"[^/?#]+", path)


def go(page: Page, address: str) -> None:
    """Go to a page and wait until all of it is there; raises LookupError where there is none."""
    answer = page.goto(address)
    if answer is None or not answer.ok:
        raise LookupError(f"{address}: {page.locator('main').inner_text()}")
    settled(page)


def settled(page: Page) -> None:
    """Wait until nothing of a page is worked out any more."""
    page.wait_for_selector(BUSY, state="detached", timeout=PATIENCE_MS)
