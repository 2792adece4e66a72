"""The system's Chromium over a console that listens: what the tests of marker ``browser`` share; no test itself."""

import asyncio
import shutil
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from consoled import PASSWORD, joined

from lemnis.interfaces import console

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 90_000
"""So long (ms) a busy machine may take for what is asked of it."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"),
    pytest.mark.filterwarnings("default"),
]


@contextmanager
def served(made, port=0):
    """Serve the console in a thread; yield its address. The system chooses the port unless it is given."""
    place, there = {}, threading.Event()

    def listening(host, port):
        place["base"] = f"http://{host}:{port}"
        there.set()

    async def run():
        place["loop"], place["stop"] = asyncio.get_running_loop(), asyncio.Event()
        await console.serve(free, place["stop"], listening=listening)

    free = replace(made, settings=made.settings.model_copy(update={"port": port}))
    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert there.wait(PATIENCE / 1000)
        yield place["base"]
    finally:
        place["loop"].call_soon_threadsafe(place["stop"].set)
        thread.join(PATIENCE / 1000)


def fresh(chromium, **how):
    """Return a page of a browser in which nobody signed in yet; it has patience."""
    page = chromium.new_page(**how)
    page.set_default_timeout(PATIENCE)
    return page


@contextmanager
def another(page):
    """Wait until the page that comes of what is done in the block is there, with its scripts."""
    with page.expect_navigation():
        yield


@contextmanager
def visit(chromium, base, name, onward="/queue", forgiven=None, **how):
    """A page of a browser in which somebody signed in by the form; what goes wrong in it fails the test.

    What has the text that is ``forgiven`` may be told as an error.
    """
    context = chromium.new_context(timezone_id="Asia/Tokyo", **how)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(base + onward)
    page.fill("#f-name", name)
    page.fill("#f-password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(base + onward)
    try:
        yield page
    except BaseException:
        sys.stdout.write(f"{page.url}\n{page.locator('main').inner_text()[:3000]}\n")  # what one would see
        raise
    finally:
        context.close()
    assert not [one for one in wrong if forgiven is None or forgiven not in one]


@contextmanager
def visiting(chromium, made, name, *roles, **how):
    """Serve the console; be somebody in a browser of its own, in the queue."""
    joined(made, name, *roles)
    with served(made) as base, visit(chromium, base, name, **how) as page:
        yield page


def settled(page):
    """Wait until every part of a page is there."""
    page.wait_for_selector("[aria-busy=true], [data-load] > .loading", state="detached")


def mark(page):
    """Leave a mark in a page: it is gone once the page is loaded anew."""
    page.evaluate("document.documentElement.dataset.mark = 'here'")


def marked(page):
    """Say whether a page is still the one that was marked."""
    return page.evaluate("document.documentElement.dataset.mark") == "here"


def axe():
    """Return axe-core, which finds what keeps people from using a page."""
    found = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    return next(Path(found.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")
