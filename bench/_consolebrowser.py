"""The console in Chromium: how long until a page can be used, a key is painted, an alert is shown."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

WIDTH = 1280
_KEYS = """async (keys) => {
  const took = [];
  for (const key of keys) {
    await new Promise((done) => setTimeout(done, 40));
    const began = performance.now();
    const pressed = new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true});
    document.activeElement.dispatchEvent(pressed);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    took.push(performance.now() - began);
  }
  return took;
}"""
"""From the event to the end of the frame that shows it: a frame is asked for, and what comes after it."""
_USABLE = """() => {
  const page = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [page.domContentLoadedEventEnd, paint ? paint.startTime : 0];
}"""
_WATCH = """(wanted) => new Promise((done) => {
  const look = () => { if (document.body.textContent.includes(wanted)) { done(Date.now()); return true; } };
  if (!look()) new MutationObserver((_, it) => { if (look()) it.disconnect(); })
    .observe(document.body, {childList: true, subtree: true, characterData: true});
})"""
_UNREADY = "main [aria-busy=true]:visible, main .loading:visible"
"""Not asked for by a function that is polled: the pages' own policy lets no text become one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A page in the browser, in seconds: to be read and take input, first paint, until its last part came."""

    usable: float
    painted: float
    whole: float


def chromium() -> str | None:
    """Return where Chromium is, if it is there."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One window, signed in."""

    def __init__(self, page: Any, base: str) -> None:
        self._page, self._base = page, base

    def see(self, path: str) -> Seen:
        """Open a page and wait until all of it is there."""
        began = time.perf_counter()
        self._page.goto(self._base + path, wait_until="domcontentloaded")
        self._page.wait_for_selector(_UNREADY, state="detached", timeout=60_000)
        whole = time.perf_counter() - began
        usable, painted = self._page.evaluate(_USABLE)
        return Seen(max(usable, painted) / 1000, painted / 1000, whole)

    def bytes(self, path: str) -> tuple[int, int, int]:
        """Return what a browser that was never here gets: bytes on the wire, unpacked, requests."""
        self._page.context.new_cdp_session(self._page).send("Network.clearBrowserCache")
        session = self._page.context.new_cdp_session(self._page)
        session.send("Network.enable")
        wire: list[float] = []
        session.on("Network.loadingFinished", lambda told: wire.append(told["encodedDataLength"]))
        self._page.goto(self._base + path, wait_until="load")
        self._page.wait_for_selector(_UNREADY, state="detached", timeout=60_000)
        self._page.wait_for_timeout(300)
        plain = self._page.evaluate(
            "() => ['resource', 'navigation'].flatMap((kind) => performance.getEntriesByType(kind))"
            ".reduce((sum, one) => sum + one.decodedBodySize, 0)"
        )
        session.detach()
        return int(sum(wire)), int(plain), len(wire)

    def keys(self, path: str, keys: Sequence[str]) -> list[float]:
        """Press keys on a page; return the seconds from each to when it was painted."""
        self._page.goto(self._base + path)
        return [ms / 1000 for ms in self._page.evaluate(_KEYS, list(keys))]

    def take(self, path: str) -> tuple[float, float]:
        """Take a line into work by ``a``: seconds until it was painted, and until the server had done it."""
        self._page.goto(self._base + path)
        self._page.keyboard.press("j")
        began = time.perf_counter()
        with self._page.expect_navigation(wait_until="domcontentloaded"):
            (painted,) = self._page.evaluate(_KEYS, ["a"])
        return painted / 1000, time.perf_counter() - began

    def live(self, path: str, port: int, number: int, offset: int) -> float:
        """Send an event that a rule is about; return the seconds until the page shows its alert.

        ``offset`` is by how much (ms) the clock of the workspace is ahead.
        """
        now = int(time.time())
        name = f"203.0.{now // 200 % 200}.{now % 200 + number}"
        if not self._page.url.endswith(path):
            self._page.goto(self._base + path)
            self._page.wait_for_selector("[data-live-state].on", timeout=30_000)
        self._page.evaluate(f"void (globalThis.shown = ({_WATCH})({orjson.dumps(name).decode()}))")
        sent: list[float] = []
        sender = threading.Thread(target=lambda: sent.append(_send(port, name, offset)))
        sender.start()
        shown: float = self._page.evaluate("globalThis.shown")
        sender.join()
        return shown / 1000 - sent[0]


def _send(port: int, name: str, offset: int) -> float:
    """Send a request to a web server as its log tells it; return when (seconds since the epoch)."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + offset / 1000))
    record = {
        "time_iso8601": at, "remote_addr": name, "request_method": "GET",
        "server_protocol": "HTTP/2.0", "request_uri": f"/.git/config?{name}", "status": 404,
        "body_bytes_sent": 0, "request_time": 0.001, "http_user_agent": "curl/8.11.0",
        "host": f"{name}.example.com", "request_id": name,
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.time()
    try:
        connection.request("POST", "/ingest/web_json", orjson.dumps(record) + b"\n")
        if connection.getresponse().status != http.client.OK:
            raise RuntimeError("the event was not taken")
    finally:
        connection.close()
    return began


@contextlib.contextmanager
def browsing(base: str, cookie: str) -> Iterator[Browser]:
    """Have a browser whose session is there already."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only the lanes with a browser need it

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": WIDTH, "height": 800})
        context.add_cookies([{"name": "lemnis", "value": cookie, "url": base, "httpOnly": True}])
        yield Browser(context.new_page(), base)
        browser.close()
