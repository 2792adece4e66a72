"""The pages full of markup in a real browser: nothing of it runs, and the policy never has to stop anything."""

import shutil

import besieged
import marked
import pytest
from besieged import Page
from listened import served

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 90_000
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"),
    pytest.mark.filterwarnings("default"),
]
WATCH = """
  window.broken = [];
  document.addEventListener('securitypolicyviolation', (one) => window.broken.push(one.violatedDirective + ' ' + one.blockedURI));
  window.alert = window.confirm = window.prompt = () => window.broken.push('dialog');
"""
FOUND = """() => [
  ...(window.XSS || top.XSS ? ['it ran'] : []), ...window.broken,
  ...[...document.querySelectorAll('xss-probe, [onxss], [onerror], [onload], script:not([src])')].map((one) => one.outerHTML.slice(0, 80)),
  ...[...document.querySelectorAll('[href]')].map((one) => String(one.href.baseVal ?? one.href)).filter((one) => /^(javascript|data|vbscript):/i.test(one)),
]"""


def test_nothing_of_it_runs(tmp_path):

    made = besieged.attacked(marked.workspace(tmp_path))
    ana = made.join("ana", *sorted(made.access.rights.roles))
    paths = [
        "/", "/queue", "/queue?show=alerts", "/incident/in-0000000000000001", "/alert/al-0000000000000001", "/search?span=all",
        "/search?q=zq&span=all", "/detections", "/detection/evil_rule", "/detection/evil_rule/edit", "/pipeline", "/playbooks",
        "/playbook/keep_and_ask", "/sources", "/source/okta", "/lessons", f"/lesson/{marked.LESSON}", "/posture", "/people", "/me",
        "/entity?name=host:web-1", "/incident/in-0000000000000001/trace?whole=1", f"/search?q={marked.LINE}", "/nothing",
    ]  # fmt: skip
    for start in ("/pipeline", "/playbooks", "/search?span=all"):
        inside = {
            a
            for _, _, a in Page(ana.get(start)).addresses
            if a.startswith(("/pipeline/", "/run/", "/plan/", "/event/"))
        }
        paths += sorted(inside)[:3]
    seen = {}
    with served(made) as port, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(base_url=f"http://127.0.0.1:{port}")
        context.add_cookies([{"name": "lemnis", "value": ana.cookie, "url": f"http://127.0.0.1:{port}"}])
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append("dialog"), dialog.dismiss()))
        page.on(
            "console",
            lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None,
        )
        for path in paths:
            page.goto("about:blank")  # so that what the page before would load again aborts nothing
            page.goto(path, wait_until="load")
            page.wait_for_selector("[aria-busy=true]", state="detached")
            if page.locator("#q").count():
                with page.expect_response("**/search/complete?*") as offered:
                    page.locator("#q").fill("message:zq")
                offered.value.finished()
                page.wait_for_timeout(100)  # for it to be shown
            if found := [*page.evaluate(FOUND), *errors]:
                seen[path] = found
            errors.clear()
        browser.close()
    made.end()
    assert seen == {}
