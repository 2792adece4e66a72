"""The pages of accounts in a real browser: passkeys by a virtual authenticator, by keyboard, in all four ways."""

import re
from pathlib import Path

import pytest
from browsing import PATIENCE, another, fresh, pytestmark, served, visiting  # noqa: F401 - what this file is marked by
from consoled import PASSWORD, built, joined, workspace

from lemnis.app.access import accounts

AXE = "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))"
OPEN = "document.querySelectorAll('main details').forEach((one) => { one.open = true; })"
KEY = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
       "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def signed_in(page, base):
    page.goto(f"{base}/me")
    page.fill("#f-name", "ana")
    page.fill("#f-password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/me")


def test_a_passkey_is_added_signs_in_and_is_removed(soc, chromium):
    made = built(soc)
    joined(made, "ana", "analyst")
    with served(made) as base:
        context = chromium.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        device = context.new_cdp_session(page)
        device.send("WebAuthn.enable")
        device.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
        signed_in(page, base.replace("127.0.0.1", "localhost"))
        assert page.locator("[data-passkey-none]").is_hidden()
        page.click("summary:has-text('Add one')")
        page.fill("#f-passkey-name", "laptop")
        page.fill("#f-passkey-password", "not that one at all")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=the password is wrong")
        page.fill("#f-passkey-password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("strong:has-text('laptop')")
        page.click("button:has-text('Sign out')")
        page.wait_for_url("**/sign-in")
        page.click("button:has-text('Use a passkey')")
        page.wait_for_selector("a[href='/me']")
        page.click("a[href='/me']")
        page.wait_for_selector("text=by passkey")
        assert len(made.access.tables.passkeys(accounts.find(made.access, "ana").id)) == 1
        page.click("button[value=passkey-drop]")
        page.wait_for_selector("text=The passkey is forgotten here")
        assert made.access.tables.passkeys(accounts.find(made.access, "ana").id) == []
        context.close()


def test_a_passkey_is_asked_for_once_at_a_time(soc, chromium):
    begun = []
    with served(built(soc)) as base:
        page = fresh(chromium)
        page.route("**/session/passkey/begin", lambda route: begun.append(route))  # noqa: PLW0108 - Playwright marks it
        page.goto(f"{base.replace('127.0.0.1', 'localhost')}/sign-in")
        page.evaluate("for (const _ of [1, 2]) document.querySelector('[data-passkey] button').click()")
        page.wait_for_timeout(300)
        assert len(begun) == 1, "a second challenge would make the answer to the first worthless"
        begun[0].abort()
        page.wait_for_selector("[data-passkey] button:enabled")
        assert page.locator("[data-passkey] [role=status]").inner_text() == "Failed to fetch"
        page.close()


def test_where_a_host_has_no_name_it_is_said_why_there_is_no_passkey(soc, chromium):
    made = built(soc)
    joined(made, "ana", "analyst")
    with served(made) as base:
        page = fresh(chromium)
        signed_in(page, base)
        page.wait_for_selector("text=Passkeys are bound to a name")
        page.click("a[href*='//localhost']")
        page.wait_for_url("**/sign-in?next=%2Fme")
        assert page.locator("[data-passkey]").is_visible()
        page.close()


def test_a_token_is_made_and_revoked_by_keyboard(soc, chromium):
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.goto(page.url.replace("/queue", "/me"))
        page.focus("summary:has-text('Make a token')")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("report")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        page.wait_for_selector("#h-key")
        assert re.fullmatch(r"lmn_[\w-]{43}", page.locator("[aria-label=Token]").inner_text())
        page.focus("button[value=token-revoke]")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=The token is revoked")


def test_light_and_dark_narrow_and_wide_all_opened_axe_finds_nothing(soc, chromium):
    axe = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    script = next(Path(axe.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")
    made = built(soc)
    joined(made, "a.very.long.name+of.somebody@shop.example", "viewer", "developer", teams=("red team",))
    other = accounts.find(made.access, "a.very.long.name+of.somebody@shop.example").id
    with visiting(chromium, made, "ana", "admin", "responder", bypass_csp=True) as page:
        base = page.url.removesuffix("/queue")

        def look(what):
            page.evaluate(OPEN)
            page.evaluate(script)
            for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 844})
                assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), (what, width)
                found = [one for one in page.evaluate(AXE) if one[0] in {"serious", "critical"}]
                assert not found, (what, scheme, width)

        page.goto(f"{base}/me")
        look("me")
        page.fill("#f-second-password", PASSWORD)
        with another(page):
            page.click("button[value=second-begin]")
        page.wait_for_selector("#f-code")
        look("a secret")
        page.goto(f"{base}/people")
        look("people")
        page.goto(f"{base}/people/{other}")
        look("a person")
        with another(page):
            page.click("button[value=reset]")
        page.wait_for_selector("#h-link")
        look("a link")
