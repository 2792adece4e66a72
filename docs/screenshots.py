"""Makes the pictures of the console, every page with the demo's data, light and dark, and docs/gallery.md.

    python docs/screenshots.py [--workspace DIR] [--to FOLDER] [PAGE…]

Without a workspace the demo is run in a folder of its own. Pages that are worked on at night are taken as
narrow as a phone, too. With ``--to`` the pictures go elsewhere, every page in all four ways. Needs Playwright
and the system's Chromium, which writes the pictures, as WebP.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
import walking
from walking import Place

DOCS = Path(__file__).parent
IMAGES, GALLERY = DOCS / "img", DOCS / "gallery.md"
WIDE, NARROW = 1280, 390
HEIGHTS = {WIDE: 800, NARROW: 844}
TALLEST = {WIDE: 1100, NARROW: 844}
"""A page is shown as far down as this."""
ALONE = {"sign-in": "/sign-in", "welcome": "/welcome/{key}"}
"""What is seen before one signs in."""
NIGHT = ("loop", "queue", "incident", "incident-trace", "alert", "run", "search")
"""What is looked at on a phone."""
QUALITY = 50
_SOON = 300_000
_HEAD = """\
# Every page of the console

With the data of `lemnis demo`, light and dark; what is looked at on a phone is shown 390 px wide, too.
[The console](console.md) says what each is for. `make screenshots` makes this page and its pictures.
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A console that listens, and who may sign in; ``invitation`` is a link that was not used."""

    base: str
    name: str
    password: str
    invitation: str


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args()
    shown: list[Place] = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = asked.workspace or _demo(Path(folder))
        with _served(workspace) as served, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
            camera = _Camera(browser, asked.to or IMAGES, every=asked.to is not None, only=asked.pages)
            try:
                shown.extend(chain(camera.alone(served), camera.inside(served)))
            finally:  # what was taken before something went wrong is shown
                if not asked.pages and asked.to is None:
                    GALLERY.write_text(gallery(shown), encoding="utf-8")
            browser.close()


def pictures(name: str) -> list[tuple[str, int]]:
    """Return the colours and widths that a page is shown in."""
    return [
        (scheme, width)
        for width in ((WIDE, NARROW) if name in NIGHT else (WIDE,))
        for scheme in ("light", "dark")
    ]


def file_name(name: str, scheme: str, width: int) -> str:
    """Return what the picture of a page is called."""
    return f"console-{name}-{scheme}-{width}.webp"


def gallery(shown: Sequence[Place]) -> str:
    """Return the page of docs that shows the pictures. Pure."""
    parts = [_HEAD]
    for one in shown:
        title = one.name.replace("-", " ").capitalize()
        parts.append(f"## {title}\n\n`{one.route}`\n")
        for scheme, width in pictures(one.name):
            size = "" if width == WIDE else f", {width} px wide"
            parts.append(f"![{title}, {scheme}{size}](img/{file_name(one.name, scheme, width)})")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


class _Camera:
    """Takes pages in a browser; ``every``: in all four ways, whole."""

    def __init__(self, browser: Browser, folder: Path, *, every: bool, only: Sequence[str]) -> None:
        self._browser, self._folder, self._every, self._only = browser, folder, every, only
        self._left = set(only)
        folder.mkdir(parents=True, exist_ok=True)

    def alone(self, served: Served) -> Iterator[Place]:
        """Take what is seen before one signs in."""
        page, lens = self._page()
        for name, route in ALONE.items():
            address = route.replace("{key}", served.invitation)
            page.goto(served.base + address)
            yield from self._take(page, lens, Place(name, route, address))
        page.close()

    def inside(self, served: Served) -> Iterator[Place]:
        """Sign in; take every page."""
        page, lens = self._page()
        page.goto(f"{served.base}/sign-in")
        page.fill("#f-name", served.name)
        page.fill("#f-password", served.password)
        page.click("button[type=submit]")
        page.wait_for_url(f"{served.base}/")
        for place in walking.walk(page, served.base):
            yield from self._take(page, lens, place)
            self._left.discard(place.name)
            if self._only and not self._left:
                break
        page.close()

    def _page(self) -> tuple[Page, CDPSession]:
        page = self._browser.new_context(reduced_motion="reduce").new_page()
        return page, page.context.new_cdp_session(page)

    def _take(self, page: Page, lens: CDPSession, place: Place) -> Iterator[Place]:
        if self._only and place.name not in self._only:
            return
        while page.locator("text=The tests are being run").count():
            page.wait_for_timeout(2_000)
            page.reload()
        ways = (
            [(s, w) for w in (WIDE, NARROW) for s in ("light", "dark")]
            if self._every
            else pictures(place.name)
        )
        for scheme, width in ways:
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
            tall = page.evaluate("document.documentElement.scrollHeight")
            most = 6_000 if self._every else TALLEST[width]
            page.set_viewport_size({"width": width, "height": min(max(tall, HEIGHTS[width]), most)})
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(100)
            answer: dict[str, Any] = lens.send(
                "Page.captureScreenshot", {"format": "webp", "quality": QUALITY}
            )
            out = self._folder / file_name(place.name, scheme, width)
            out.write_bytes(base64.b64decode(answer["data"]))
            print(out)
        yield place


def _chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        sys.exit("no Chromium on this machine: apt-get install chromium")
    return found


def _demo(folder: Path) -> Path:
    """Run the demo; return the workspace that it leaves."""
    lemnis = Path(sys.executable).with_name("lemnis")
    subprocess.run([lemnis, "demo", "--dir", folder / "demo"], check=True)
    return folder / "demo" / "soc"


@contextmanager
def _served(root: Path) -> Iterator[Served]:
    """Serve a workspace as if its last entry had just been written; yield where, and who may sign in."""
    with sqlite3.connect(root / ".lemnis" / "journal.db") as journal:
        query = "SELECT max(at) FROM journal WHERE kind NOT LIKE 'access.%'"
        (last,) = journal.execute(query).fetchone()
    os.environ["LEMNIS_CLOCK_OFFSET"] = str(int(last + _SOON - time.time() * 1000))
    from lemnis import app  # noqa: PLC0415 - with the clock that was just set
    from lemnis.app.access import accounts  # noqa: PLC0415 - the same
    from lemnis.interfaces import console  # noqa: PLC0415 - the same

    made = console.built(app.open_workspace(root))
    made = replace(made, settings=made.settings.model_copy(update={"port": 0}))
    name, password = f"ana-{secrets.token_hex(2)}", secrets.token_urlsafe(24)
    _, mine = accounts.add(made.access, name, sorted(made.access.rights.roles), actor="root")
    _, other = accounts.add(made.access, f"lee-{secrets.token_hex(2)}", ["analyst"], actor="root")
    if mine is None or other is None:
        sys.exit("no invitation: the account signs in elsewhere")
    accounts.accept(made.access, mine.secret, "", password)
    there, place = threading.Event(), {}

    def listening(host: str, port: int) -> None:
        place["base"] = f"http://{host}:{port}"
        there.set()

    async def run() -> None:
        stop = place["stop"] = asyncio.Event()
        place["loop"] = asyncio.get_running_loop()
        await console.serve(made, stop, listening=listening)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    there.wait(60)
    yield Served(place["base"], name, password, other.secret)
    place["loop"].call_soon_threadsafe(place["stop"].set)
    thread.join(10)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # what the console works out beside its pages does not bear the interpreter's end
