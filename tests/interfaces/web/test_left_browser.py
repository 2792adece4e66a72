"""A page that is left open while its session ends, in a real browser."""

import pytest
from browsing import PATIENCE, pytestmark, served  # noqa: F401 - what this file is marked by
from consoled import PASSWORD, alert, built, incident, joined, workspace

from lemnis.app import incidents
from lemnis.app.access import accounts


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def test_a_page_whose_session_is_over_leads_to_the_sign_in(soc, chromium):
    """Nobody touches it: it shows nothing any more of what is not to be seen without a session."""
    name = incident(soc, alert(1))
    made = built(soc)
    joined(made, "ana", "analyst")
    with served(made) as base:
        context = chromium.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{base}/queue")
        page.fill("#f-name", "ana")
        page.fill("#f-password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector(".live.on")
        made.access.tables.end(account=accounts.find(made.access, "ana").id)
        incidents.note(soc, name, "something happens", actor="lee")
        page.wait_for_url("**/sign-in?next=%2Fqueue")
        assert page.locator("tr[data-row]").count() == 0
        context.close()
