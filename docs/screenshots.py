"""Makes the pictures of the console: every page with the demo's data, light and dark, wide and narrow.

    python docs/screenshots.py [--workspace DIR] [--all FOLDER] [PAGE…]

Without a workspace the demo is run in a folder of its own. The pictures of docs/console.md go to docs/img;
with ``--all`` every page goes to a folder in all four ways. Needs Playwright and the system's Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "img"
SHOWN = (
    ("loop", "light", 1280),
    ("loop", "dark", 390),
    ("queue", "dark", 1280),
    ("incident", "light", 1280),
    ("trace", "dark", 1280),
    ("search", "light", 1280),
    ("detections", "light", 1280),
    ("plan", "light", 1280),
    ("lesson", "dark", 1280),
    ("queue", "light", 390),
)
"""The pictures in the docs: page, colours, width."""
WAYS = tuple((scheme, width) for scheme in ("light", "dark") for width in (1280, 390))
PLAIN = {
    "loop": "/", "queue": "/queue?show=closed", "search": "/search?span=all", "detections": "/detections",
    "pipeline": "/pipeline", "playbooks": "/playbooks", "posture": "/posture", "sources": "/sources",
    "lessons": "/lessons", "entity": "/entity?name=host%3Anode-1",
}  # fmt: skip
LINKED = (
    ("incident", "queue", "/incident/"), ("alert", "incident", "/alert/"), ("lesson", "incident", "/lesson/"),
    ("run", "incident", "/run/"), ("plan", "run", "/plan/"), ("event", "search", "/event/"),
    ("detection", "detections", "/detection/"), ("playbook", "playbooks", "/playbook/"),
)  # fmt: skip
"""Pages that others lead to: which, from where, by what address."""
_SOON = 300_000


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--all", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = asked.workspace or _demo(Path(folder))
        with _served(workspace) as (base, name, password), sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)
            page.goto(f"{base}/sign-in")
            page.fill("#f-name", name)
            page.fill("#f-password", password)
            page.click("button[type=submit]")
            page.wait_for_url(f"{base}/")
            for what, scheme, width in _wanted(asked.all is not None):
                if asked.pages and what not in asked.pages:
                    continue
                out = (asked.all or IMAGES) / f"console-{what}-{scheme}-{width}.png"
                _take(page, base, what, scheme, width, out, whole=asked.all is not None)
                print(out)
            browser.close()


def _wanted(every: bool) -> Iterator[tuple[str, str, int]]:  # noqa: FBT001 - of a command line
    if not every:
        yield from SHOWN
        return
    for scheme, width in WAYS:
        for what in (*PLAIN, "trace", *(name for name, _, _ in LINKED)):
            yield what, scheme, width


def _take(page: Page, base: str, what: str, scheme: str, width: int, out: Path, *, whole: bool) -> None:  # noqa: PLR0917 - of a picture
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(base + _address(page, base, what))
    page.wait_for_function("!document.querySelector('[aria-busy=true], [data-again]')", timeout=240_000)
    for _ in range(60):
        if not page.locator("text=The tests are being run").count():
            break
        page.wait_for_timeout(5_000)
        page.reload()
    page.wait_for_timeout(300)
    out.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(out), full_page=whole)


def _address(page: Page, base: str, what: str) -> str:
    """Return where a page is, following links from those that lead to it."""
    if what == "trace":
        return f"{_address(page, base, 'incident')}/trace"
    if what in PLAIN:
        return PLAIN[what]
    start, link = next((start, link) for name, start, link in LINKED if name == what)
    page.goto(base + _address(page, base, start))
    found = page.locator(f"main a[href*='{link}']").first.get_attribute("href")
    return str(found)


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
def _served(root: Path) -> Iterator[tuple[str, str, str]]:
    """Serve a workspace as if its last entry had just been written; yield address, name, password."""
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
    _, invitation = accounts.add(made.access, name, sorted(made.access.rights.roles), actor="root")
    if invitation is None:
        sys.exit("no invitation: the account signs in elsewhere")
    accounts.accept(made.access, invitation.secret, "", password)
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
    yield place["base"], name, password
    place["loop"].call_soon_threadsafe(place["stop"].set)
    thread.join(10)


if __name__ == "__main__":
    main()
