"""Signing in, in a real browser: by a provider of OpenID Connect, and by password with an authenticator's code."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pyotp
import pytest
import yaml
from browsing import another, fresh, pytestmark, served  # noqa: F401 - what this file is marked by
from consoled import PASSWORD, built, joined, workspace

from lemnis import app

PROVIDER = Path(__file__).parents[1] / "api" / "provider.py"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


@pytest.fixture
def provider(tmp_path, monkeypatch):
    """A provider that knows ada, of the group soc, and sends back to a console at a port; yields both."""
    pytest.importorskip("oidc_provider")
    monkeypatch.setenv("CORP_SECRET", "quite-secret")
    port, ours = free_port(), free_port()
    folder = tmp_path / "op"
    folder.mkdir()
    back = f"http://127.0.0.1:{ours}/api/v1/openid/corp/callback"
    command = [sys.executable, str(PROVIDER), str(folder), str(port), back]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline().strip() == str(port)
        yield f"http://127.0.0.1:{port}", ours
        process.kill()


def test_a_provider_s_button_leads_there_and_back_to_what_was_asked_for(soc, provider, chromium):
    issuer, port = provider
    soc.clock.instant = time.time_ns() // 1_000_000
    corp = {"name": "corp", "title": "Corp", "issuer": issuer, "client_id": "lemnis", "secret_env": "CORP_SECRET",
            "groups": {"soc": ["analyst"]}}  # fmt: skip
    settings = soc.root / app.SETTINGS
    settings.write_text(settings.read_text() + yaml.safe_dump({"console": {"openid": [corp]}}))
    made = built(soc)
    with served(made, port) as base:
        page = fresh(chromium)
        page.goto(f"{base}/lessons")
        page.click("a:has-text('Sign in with Corp')")
        page.wait_for_url(f"{issuer}/login**")
        page.fill("[name=name]", "ada")
        page.fill("[name=password]", "ada")
        page.click("button")
        page.wait_for_url(f"{base}/lessons")
        assert page.locator("a[href='/me'] .name").inner_text() == "ada"
        page.close()


def test_an_authenticator_is_set_up_and_its_code_is_asked_for_from_then_on(soc, chromium):
    soc.clock.instant = time.time_ns() // 1_000_000
    made = built(soc)
    joined(made, "ana", "analyst")
    with served(made) as base:
        page = fresh(chromium)

        def by_password():
            page.goto(f"{base}/sign-in?next=/me")
            page.fill("#f-name", "ana")
            page.fill("#f-password", PASSWORD)
            with another(page):
                page.keyboard.press("Enter")

        by_password()
        page.wait_for_url(f"{base}/me")
        page.click("section:has(#h-second) summary:has-text('Set up')")
        page.fill("#f-second-password", PASSWORD)
        page.click("button[value=second-begin]")
        secret = page.locator("[aria-label=Secret]").inner_text().replace(" ", "").strip()
        page.fill("#f-code", pyotp.TOTP(secret).at(soc.clock.now() // 1000))
        page.click("button[value=second-confirm]")
        page.wait_for_selector("#h-spare")
        spare = page.locator("ul.codes li").first.inner_text()
        page.click("button:has-text('Sign out'):visible")
        page.wait_for_url("**/sign-in")
        by_password()
        page.wait_for_selector("#f-code")
        assert page.url.startswith(f"{base}/sign-in")
        page.fill("#f-password", PASSWORD)
        page.fill("#f-code", "000000")
        with another(page):
            page.keyboard.press("Enter")
        assert page.locator("text=That did not work").count() == 1
        soc.clock.advance(60_000)
        page.fill("#f-password", PASSWORD)
        page.fill("#f-code", pyotp.TOTP(secret).at(soc.clock.now() // 1000))
        page.keyboard.press("Enter")
        page.wait_for_url(f"{base}/me")
        page.context.clear_cookies()
        by_password()
        page.wait_for_selector("#f-code")
        page.fill("#f-password", PASSWORD)
        page.fill("#f-code", spare)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{base}/me")
        page.close()
