"""Host names, proxies and redirects: nobody is sent elsewhere, and headers say only what may be believed."""

import pytest
from besieged import API, BASE, HOST, HTML, PASSWORD, Browser, attacked

from lemnis import app
from lemnis.content.schemas.console import Console


@pytest.fixture(scope="module")
def made(shared):
    shared.join("ana", *sorted(shared.access.rights.roles))
    return shared


ELSEWHERE = (
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil.example",
    "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", " //evil.example", "%2f%2fevil.example",
    "http://127.0.0.1:8687@evil.example", "///evil.example", "/\x00//evil.example", "evil.example", "",
    "/\u2028/evil.example", "data:text/html,x", "/%5cevil.example", "/..//evil.example", "/.//evil.example",
)  # fmt: skip


def stays(location):
    """Say whether a browser that is sent there stays: as the URL standard reads it, tabs and all."""
    read = location.strip().replace("\t", "").replace("\n", "").replace("\r", "").replace("\\", "/")
    return read.startswith("/") and not read.startswith("//")


@pytest.mark.parametrize("onward", ELSEWHERE)
def test_nobody_is_sent_elsewhere(made, onward):
    ana, nobody = made.browser("ana"), made.browser()
    for path in ("/sign-in", "/queue", "/nothing"):
        answer = ana.get(path, params={"next": onward})
        assert stays(answer.headers.get("location", "/")), path
    page = nobody.get("/sign-in", params={"next": onward})
    answer = nobody.send("/sign-in", name="ana", password=PASSWORD, next=onward)
    assert (page.status_code, answer.status_code) == (200, 303)
    assert stays(answer.headers["location"])
    answer = ana.send("/purpose", purpose="", back=onward)
    assert stays(answer.headers["location"])
    answer = ana.send("/queue/views", name="x", query=f"&x=1#{onward}")
    assert stays(answer.headers["location"])


@pytest.mark.parametrize(
    "path", ["//evil.example/queue", "/\\evil.example", "//evil.example%2f..", "///x", "/%2fevil.example"]
)
def test_what_is_asked_for_is_not_where_one_is_sent(made, path):
    answer = made.browser().get(f"{BASE}{path}")
    assert stays(answer.headers.get("location", "/"))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "localhost:8687@evil.example", "127.0.0.2",
     "localhost:x", "localhost:80/evil.example", "[::1]:80@evil.example", "[::1]evil.example", "", "localhost:8687 evil",
     "0.0.0.0:8687", "2130706433", "0x7f000001", "127.1", "localhost.", "evil.example#localhost"],
)  # fmt: skip
def test_other_hosts_are_none_of_ours(made, host):
    """Rebinding, and addresses of ours that are made of a header: links, redirects to providers, passkeys."""
    for path in ("/queue", "/sign-in", f"{API}/me"):
        answer = made.browser("ana").get(path, headers={"host": host})
        assert answer.status_code == 421, (host, path)
        assert "evil.example" not in answer.text


def test_a_link_to_begin_leads_here_whatever_headers_say(made):
    ana = made.browser("ana")
    headers = {"origin": BASE, "x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "forwarded": "host=evil.example",
               "x-host": "evil.example"}  # fmt: skip
    form = {"csrf": ana.csrf, "name": "new", "role": "viewer", "teams": ""}
    answer = ana.ask("POST", "/people", data=form, headers=headers)
    assert answer.status_code == 200
    assert f"{BASE}/welcome/" in answer.text
    assert "evil.example" not in answer.text


def test_nobody_but_a_proxy_says_who_asks_or_that_there_is_tls(tmp_path):
    made = attacked(app.init(tmp_path / "soc"), how=Console(proxies=("10.0.0.0/8",), hosts=("soc.example",)))
    said = {"x-forwarded-for": "192.0.2.9", "x-forwarded-proto": "https", "x-forwarded-host": "soc.example"}
    outside = Browser(made, headers=HTML | said, address="192.0.2.1").get("/sign-in")
    inside = Browser(made, headers=HTML | said, address="10.1.2.3").get("/sign-in")
    assert "strict-transport-security" not in outside.headers
    assert "__Host-" not in outside.headers["set-cookie"]
    assert inside.headers["strict-transport-security"]
    assert inside.headers["set-cookie"].startswith("__Host-")
    forged = Browser(
        made, headers=HTML | said | {"x-forwarded-host": "evil.example"}, address="10.1.2.3"
    ).get("/sign-in")
    assert forged.status_code == 421
    made.end()


def test_every_answer_says_that_it_is_not_framed_guessed_or_kept(made):
    ana, nobody = made.browser("ana"), made.browser()
    for one in made.routes:
        if one.method != "GET" or one.path in {f"{API}/stream", "/detections/lint"}:
            continue
        for who in (ana, nobody):
            answer = who.get(one.at())
            assert answer.headers["x-frame-options"] == "DENY", str(one)
            assert answer.headers["x-content-type-options"] == "nosniff", str(one)
            assert answer.headers["referrer-policy"] == "same-origin", str(one)
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], str(one)
            kept = {part.strip() for part in answer.headers["cache-control"].split(",")}
            assert kept & {"no-store", "private"}, (str(one), kept)
            assert "public" not in kept, str(one)
            assert "server" not in answer.headers, str(one)
            assert "x-powered-by" not in answer.headers, str(one)


def test_pages_are_not_kept_and_a_sign_out_takes_what_is(made):
    made.join("leaving", "viewer")
    leaving = made.browser("leaving")
    assert leaving.get("/queue").headers["cache-control"] == "no-store"
    answer = leaving.send("/sign-out")
    assert answer.headers["clear-site-data"] == '"cache"'


def test_no_header_of_ours_is_made_by_what_is_asked(made):
    ana = made.browser("ana")
    evil = "x\r\nset-cookie: evil=1\r\n\r\n<script>"
    for path, given in (
        ("/sign-in", {"next": f"/{evil}"}), ("/queue", {"q": evil}), ("/search", {"q": f"in-{evil}"}),
        ("/search", {"q": f"al-{evil.replace(' ', '')}"}), ("/entity", {"name": f"host:{evil}"}),
    ):  # fmt: skip
        answer = ana.get(path, params=given)
        assert "evil=1" not in str(answer.headers.get("set-cookie", "")), path
        assert "\n" not in answer.headers.get("location", ""), path
    answer = ana.send("/queue/views", name=evil, query=evil)
    assert "evil" not in answer.cookies
    assert HOST not in answer.headers.get("location", "")
