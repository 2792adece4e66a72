"""Stored markup: whatever is logged, found, written or sent, no page makes an element, attribute or address of it."""

import re
from urllib.parse import urljoin, urlsplit

import marked
import pytest
from besieged import API, BASE, HOST, Page, crawl, pattern, settled
from marked import LINE, MARKUP

from lemnis.app.access import accounts, openid
from lemnis.contracts.alerts import Severity

_LOADED = {"src", "data", "poster", "data-load", "data-fields", "formaction"}
_OUTSIDE = (
    "https://tracker.example/",
    "http://localhost:8687/",
)  # a link that is written, and where passkeys work
"""The one address elsewhere that somebody wrote down as a link."""


@pytest.fixture(scope="module")
def pages(spoilt):
    """Every page that links lead to, and those that it takes an id of ours to find."""
    ana = spoilt.browser("ana")
    found = crawl(ana, each=2)
    for path in (
        "/detection/evil_rule", "/detection/broken", "/detection/evil_rule/edit", "/playbook/keep_and_ask",
        f"/lesson/{marked.LESSON}", "/source/okta", "/incident/in-0000000000000001", "/lessons",
        "/incident/in-0000000000000003", "/alert/al-0000000000000001", "/alert/al-0000000000000004",
        "/incident/in-0000000000000001/trace?whole=1", "/queue?show=alerts", "/entity?name=host:web-1", "/search?q=%40evil",
    ):  # fmt: skip
        found[path] = settled(ana, path)
    return found


def wrong(answer):
    """Return what a page makes of markup that is not its own; nothing of what is a file to keep."""
    if not answer.headers.get("content-type", "").startswith("text/html"):
        assert answer.headers["x-content-type-options"] == "nosniff"
        return []
    page = Page(answer)
    bad = []
    for one in page.elements:
        if (
            one.name == "xss-probe"
            or (one.name == "script" and not one.attributes.get("src"))
            or one.name == "style"
        ):
            bad.append(f"<{one.name}>")
        bad += [f"{one.name} {name}" for name in one.attributes if name.startswith("on") or name == "style"]
        bad += [
            f"{one.name} {name}"
            for name in one.attributes
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9:-]*", name)
        ]
    for one, name, address in page.addresses:
        if not ours(address) and (name in _LOADED or not address.startswith(_OUTSIDE)):
            bad.append(f"{one.name} {name}={address[:60]}")
    return bad


def ours(address):
    """Say whether a browser that is given an address stays here: it drops what is before and within schemes."""
    read = re.sub(r"[\t\n\r]", "", address.strip("".join(map(chr, range(33))))).replace("\\", "/")
    parts = urlsplit(urljoin(f"{BASE}/incident/x", read))
    return parts.scheme in {"http", "https"} and parts.netloc in {HOST, "localhost:8687"}


def test_no_page_makes_anything_of_what_comes_from_outside(pages):
    told = {path: answer.status_code for path, answer in pages.items()}
    assert {path: status for path, status in told.items() if status != 200} == {}
    assert {path: found for path, answer in pages.items() if (found := wrong(answer))} == {}
    kinds = {path: answer.headers.get("content-type", "") for path, answer in pages.items()}
    text = "".join(pages[path].text for path, kind in kinds.items() if kind.startswith("text/html"))
    assert "zz49" not in text, "a template made sums of it"
    assert "\u202e" not in text, "a sign that turns the text around is written as what it is"
    assert text.count("xss-probe") > 300, "or the markup is not there at all, and this proves nothing"


def test_every_page_was_looked_at(spoilt, pages):
    """A page that is new has to be found here, by a link or by its name."""
    met = {urlsplit(path).path for path in pages}
    known = {"/sign-in", "/welcome/{key}"}
    missed = [
        one.path for one in spoilt.routes
        if one.page and one.method == "GET" and one.path not in known
        and not any(pattern(one.path).fullmatch(path) for path in met)
    ]  # fmt: skip
    assert missed == []


def test_markup_in_addresses_is_not_given_back_as_markup(spoilt):
    ana, nobody = spoilt.browser("ana"), spoilt.browser()
    given = {"q": LINE, "name": LINE, "sort": LINE, "next": LINE, "show": LINE, "stage": LINE, "field": LINE,
             "after": LINE, "span": LINE, "from": LINE, "like": LINE, "kind": LINE, "technique": LINE}  # fmt: skip
    for one in spoilt.routes:
        if not one.page or one.method != "GET" or one.path == "/detections/lint":
            continue
        path = re.sub(r"{[^}]+}", "%3Cxss-probe%20onxss=1%3E%22'", one.path)
        for who in (ana, nobody):
            answer = who.get(path, params=given)
            assert answer.status_code < 500, (path, answer.text[-300:])
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert wrong(answer) == [], path


def test_headers_and_cookies_are_not_given_back_as_markup(spoilt):
    raw = LINE.encode().decode("latin-1")
    ana = spoilt.browser(
        "ana", **{"user-agent": raw, "referer": raw, "accept-language": raw, "x-forwarded-for": raw}
    )
    ana.client.cookies.set("lemnis-said", "t=<xss-probe onxss=1>&d=<xss-probe>&k=<xss-probe>")
    ana.client.cookies.set("lemnis-theme", '"><xss-probe>')
    for path in ("/queue", "/me", "/nothing/<xss-probe>", "/incident/in-x"):
        assert wrong(ana.get(path)) == [], path
    for header in ("x-forwarded-host", "x-original-url", "x-rewrite-url", "x-forwarded-prefix"):
        answer = ana.get("/queue", headers={header: "evil.example/<xss-probe>"})
        assert "evil.example" not in answer.text, header


def test_what_people_write_in_forms_is_text(plain):
    name = marked.incident(plain.workspace, marked.alert(1, title="A shell", severity=Severity.HIGH))
    ana = plain.join("ana", *sorted(plain.access.rights.roles))
    assert ana.send(f"/incident/{name}", do="note", text=MARKUP).status_code == 303
    assert ana.send(f"/incident/{name}", do="task", title=LINE, assignee=LINE).status_code == 303
    assert ana.send("/queue/views", name=LINE[:60], query=f"q={LINE}").status_code == 303
    assert ana.send("/purpose", purpose=LINE).status_code == 303
    assert ana.send("/me", do="token-make", name=LINE[:90], scope="alert.read", days="7").status_code == 200
    spiteful = plain.browser(**{"user-agent": "<xss-probe onxss=1>"})
    spiteful.get("/sign-in")
    assert spiteful.send("/sign-in", name="ana", password="a lemniscate turns twice").status_code == 303
    for path in (
        f"/incident/{name}",
        "/queue",
        "/me",
        "/search?q=x",
        f"/people/{accounts.find(plain.access, 'ana').id}",
    ):
        answer = ana.get(path)
        assert wrong(answer) == [], path
    assert "&lt;xss-probe" in ana.get("/me").text


@pytest.mark.parametrize(
    "address",
    ["javascript:top.XSS=1", "JaVaScRiPt:top.XSS=1", " javascript:top.XSS=1", "java\tscript:top.XSS=1",
     "data:text/html,<script>1</script>", "vbscript:x", "//evil.example/x", "\x01javascript:1", "file:///etc/passwd"],
)  # fmt: skip
def test_links_lead_to_the_web_and_nowhere_else(plain, address):
    name = marked.incident(plain.workspace, marked.alert(1))
    ana = plain.join("ana", "analyst")
    refused = ana.send(f"/incident/{name}", do="link", url=address, title="x")
    assert refused.status_code == 400, address
    assert not ours(address), "or this proves nothing"
    given = [one for _, _, one in Page(ana.get(f"/incident/{name}")).addresses]
    assert any("javascript" in one for one in given), "a domain is called so: a part of an address of ours"
    assert [one for one in given if not ours(one)] == []


def test_errors_of_the_api_are_no_pages(spoilt):
    ana = spoilt.browser("ana")
    for path in (
        "/incidents/<xss-probe>",
        f"/events?query={LINE}",
        "/nothing/<xss-probe>",
        "/rules/<xss-probe>",
    ):
        answer = ana.get(f"{API}{path}")
        assert answer.headers["content-type"] in {"application/problem+json", "application/json"}, path
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_a_search_gives_as_json_is_read_as_nothing_else(spoilt):
    answer = spoilt.browser("ana").get("/search/complete", params={"q": LINE})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_names_that_a_provider_gives_are_no_markup(plain):

    told = {"preferred_username": LINE, "email": LINE, "name": LINE, "sub": LINE}
    name = openid._free_name(plain.access, told)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._@+-]{0,63}", name)
    assert accounts.name_of(name) == name


def test_the_policy_lets_no_script_of_the_page_run(spoilt):
    policy = spoilt.browser("ana").get("/queue").headers["content-security-policy"]
    said = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert said["default-src"] == "'none'"
    assert {said[name] for name in ("script-src", "style-src", "connect-src", "img-src", "form-action")} == {
        "'self'"
    }
    assert (said["base-uri"], said["frame-ancestors"]) == ("'none'", "'none'")
    assert "unsafe" not in policy
    assert BASE not in policy
