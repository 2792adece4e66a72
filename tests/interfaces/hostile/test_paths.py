"""Path traversal: no parameter of a route reaches a file that is not named by it."""

import re
from pathlib import Path

import pytest
from besieged import API, BASE

TRICKS = (
    "..", "../..", "..%2f..%2flemnis.yaml", "%2e%2e%2f%2e%2e%2flemnis.yaml", "..%252f..%252flemnis.yaml",
    "..\\..\\lemnis.yaml", "..%5c..%5clemnis.yaml", "....//....//lemnis.yaml", "%c0%ae%c0%ae%c0%aflemnis.yaml",
    "lemnis.yaml%00", "%2fetc%2fpasswd", "/etc/passwd", "file:///etc/passwd", "C:%5cwindows%5cwin.ini", "CON", "nul",
    "%2e", "~root", "$HOME", "`id`", "|id", "a" * 3000, "%ff%fe", "..;/lemnis.yaml", "rule.yml%20", "rule.yml:x",
    ".git%2fconfig", ".lemnis%2fkeys%2faccess.key",
)  # fmt: skip
_OURS = (
    b"root:x:",
    b"[core]",
    b"name: soc",
    b"Traceback",
    b"/dev/shm",
    str(Path(__file__).parents[3]).encode(),
    b"site-packages",
    b"PRIVATE KEY",
)


@pytest.fixture(scope="module")
def made(shared):
    shared.join("ana", *sorted(shared.access.rights.roles))
    return shared


@pytest.mark.parametrize("trick", TRICKS, ids=lambda one: one[:24])
def test_no_route_reaches_a_file_by_its_parameters(made, trick):
    ana = made.browser("ana")
    secret = (made.workspace.state / "keys/access.key").read_bytes() if _key(made).exists() else b"\xff" * 40
    for one in made.routes:
        if "{" not in one.path or one.path == "/static/{name}":
            continue
        path = re.sub(r"{[^}]+}", lambda _: trick, one.path)
        headers = {"origin": BASE, "x-csrf-token": ana.csrf}
        answer = ana.ask(one.method, f"{BASE}{path}", headers=headers)
        assert answer.status_code < 500, (str(one), answer.text[-300:])
        assert not [text for text in (*_OURS, secret) if text in answer.content], str(one)


def _key(made):
    return made.workspace.state / "keys/access.key"


@pytest.mark.parametrize("trick", TRICKS, ids=lambda one: one[:24])
def test_nor_by_what_forms_and_queries_name(made, trick):
    ana = made.browser("ana")
    before = {one for one in made.workspace.root.rglob("*") if one.is_file()}
    rule = "title: x\nid: 00000000-0000-4000-8000-000000000009\nlogsource: {product: linux}\ndetection: {a: {b: c}, condition: a}\nlevel: low\n"
    for answer in (
        ana.send("/search/save", name=trick, q="x", title="x"),
        ana.send("/detections/edit", do="save", name=trick, text=rule),
        ana.get("/search", params={"q": f"@{trick}"}),
        ana.get("/entity", params={"name": f"file:{trick}"}),
        ana.get("/pipeline", params={"resource": trick}),
        ana.get(f"{API}/findings", params={"resource": trick}),
        ana.get(f"{API}/events", params={"query": f"@{trick}", "since": ""}),
        ana.call("POST", "/plans", {"playbook": trick, "incident": "in-0000000000000000"}),
    ):
        assert answer.status_code < 500, answer.text[-300:]
        assert not [text for text in _OURS if text in answer.content], str(answer.request.url)[:120]
    after = {one for one in made.workspace.root.rglob("*") if one.is_file()}
    written = {one for one in after - before if not one.is_relative_to(made.workspace.state)}
    own = {made.workspace.content / "searches", made.workspace.content / "detections"}
    assert all(one.parent.parent in own for one in written), written


def test_static_files_are_those_that_there_are(made):
    ana, nobody = made.browser("ana"), made.browser()
    for trick in TRICKS:
        for who in (ana, nobody):
            answer = who.get(f"{BASE}/static/{trick}")
            left = "static" not in str(answer.request.url.path)  # as httpx, and browsers, read two dots
            assert left or answer.status_code in {303, 400, 404}, trick
            assert not [text for text in _OURS if text in answer.content], trick
    assert nobody.get("/static/console.css").status_code == 200
    assert nobody.get("/static/console.css?v=../../x").headers["cache-control"] == "no-cache"


def test_a_symbolic_link_in_the_workspace_is_not_followed_out_of_it(plain, tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("title: what nobody is to read\nquery: x\n")
    folder = plain.workspace.content / "detections" / "linked"
    folder.mkdir(parents=True)
    (folder / "rule.yml").symlink_to(tmp_path / "missing.yml")
    ana = plain.join("ana", *sorted(plain.access.rights.roles))
    for path in ("/detections", "/detection/linked", f"{API}/rules", f"{API}/rules/linked"):
        answer = ana.get(path)
        assert answer.status_code < 500, path
        assert "nobody is to read" not in answer.text
    rule = "title: x\nid: 00000000-0000-4000-8000-000000000009\nlogsource: {product: linux}\ndetection: {a: {b: c}, condition: a}\nlevel: low\n"
    ana.send("/detections/edit", do="save", name="linked", text=rule)
    assert not (tmp_path / "missing.yml").exists(), (
        "saving takes the link's place, and writes to nothing outside"
    )
