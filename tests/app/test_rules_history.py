"""`lemnis rules backtest, noise, coverage, exceptions`, as people and machines have them."""

import json
import time
from html.parser import HTMLParser

import lived
import pytest
from lived import ADMIN, NOW, SCANNER

from lemnis.app.coverage import Covering, gathered
from lemnis.app.coverage_attack import Known
from lemnis.interfaces.cli import run
from lemnis.interfaces.cli.coverage_view import coverage_page, coverage_tables
from lemnis.interfaces.cli.output import console


@pytest.fixture
def workspace(tmp_path, two_weeks, monkeypatch):
    made = lived.workspace(tmp_path)
    (made.state / "lake").symlink_to(two_weeks.state / "lake")
    lived.commit(made)
    monkeypatch.setenv("LEMNIS_CLOCK_OFFSET", str(NOW - time.time_ns() // 1_000_000))
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(made.root))
    monkeypatch.setenv("COLUMNS", "200")
    return made


@pytest.fixture
def lemnis(workspace, capsys):
    def call(*arguments):
        code = run(["rules", *arguments])
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


def test_backtest_tells_what_differs_by_its_exit_code(workspace, lemnis):
    code, out, _ = lemnis("backtest")
    assert (code, "no alert differs" in out) == (0, True)
    lived.rule(workspace, "admin_page", number=ADMIN, field="cs-uri-stem", value="/articles/3")
    code, out, _ = lemnis("backtest")
    assert code == 1
    assert all(
        text in out for text in ("+14", "-58", "admin_page", "alerts differ", "203.0.113.4", SCANNER)
    ), out
    code, out, _ = lemnis("backtest", "--json", "--since", "100h")
    found = json.loads(out)
    assert (code, found["differs"], found["rules"][0]["gone"], found["rules"][0]["added"]) == (1, True, 16, 4)
    assert found["rules"][0]["gone_examples"][0]["event"]["http_request"]["url"]["path"] == "/admin"
    code, _, err = lemnis("backtest", "--old", "nowhere")
    assert (code, "neither a folder nor a commit" in err) == (2, True)
    code, _, err = lemnis("backtest", "--since", "yesterday")
    assert (code, "no time" in err) == (2, True)


def test_noise_proposes_an_exception_that_exceptions_then_lists(workspace, lemnis):
    code, out, _ = lemnis("noise")
    assert code == 0
    assert all(text in out for text in ("admin_page", "removes 56 of 58", "c-ip", "10 minutes an alert")), out
    file = workspace.content / "exceptions" / "scanner" / "filter.yml"
    code, out, err = lemnis("noise", "--json", "--propose", str(file), "--rule", "admin_page", "--as", "ana")
    (line,) = [json.loads(one) for one in out.splitlines()]
    assert (code, line["alerts"], line["proposal"]["removed"], line["proposal"]["against"]) == (0, 58, 56, "")
    assert line["alerts_a_week"]["low"] < line["alerts_a_week"]["rate"] < line["alerts_a_week"]["high"]
    assert line["minutes_a_week"]["rate"] == pytest.approx(10 * line["alerts_a_week"]["rate"], rel=0.01)
    assert "would have removed 56 of 58 alerts" in err
    assert file.read_text() == line["proposal"]["filter"]
    code, out, _ = lemnis("exceptions", "--json")
    (line,) = [json.loads(one) for one in out.splitlines()]
    assert (code, line["name"], line["owner"], line["days_left"], line["held"]) == (
        0,
        "scanner",
        "ana",
        90,
        {ADMIN: 56},
    )
    code, _, err = lemnis("noise", "--propose", str(file))
    assert (code, "no value stands out" in err) == (1, True)


def test_an_exception_that_has_ended_is_told_and_one_that_is_broken_too(workspace, lemnis):
    assert lemnis("exceptions")[0] == 0
    lived.exception(workspace)
    code, out, _ = lemnis("exceptions")
    assert code == 1
    assert all(text in out for text in ("own_scanner", "priya", "2025-11-09", "ended 8 days ago", "28")), out
    lived.exception(workspace, lived.EXCEPTION.replace("  owner: priya\n", ""), name="broken")
    code, out, err = lemnis("exceptions")
    assert (code, "own_scanner" in out, "filter.yml:8:3: x-lemnis.owner" in err.replace("\n", "")) == (
        2,
        True,
        True,
    )


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_coverage_is_written_as_layer_and_page(workspace, lemnis, tmp_path, monkeypatch, whole):
    if not whole:
        some = ("sources", "correlations", "detections/web_scanner_user_agent")
        lived.shipped(monkeypatch, tmp_path / "built-in", *some)
    layer, page = tmp_path / "layer.json", tmp_path / "page.html"
    code, out, err = lemnis(
        "coverage", "--json", "--navigator", str(layer), "--html", str(page), "--min", "tested", "--since", ""
    )
    lines = {line["id"]: line for line in map(json.loads, out.splitlines())}
    assert (lines["T1083"]["proven"], lines["T1083"]["written"]) == (True, True)
    known = json.loads(layer.read_text())
    assert {one["techniqueID"] for one in known["techniques"]} == lines.keys()
    assert all(f">{one}" in page.read_text() for one in lines)
    assert (code, "T1083" in err) == (1, lines["T1083"]["state"] == "written")


class Outside(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self):
        super().__init__()
        self.tags, self.bad, self.open = set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.bad += [
            (tag, name) for name, _ in attrs if name.startswith("on") or name in {"src", "href", "style"}
        ]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


EVIL = '"><script>alert(1)</script><img src=x onerror=y>'


def test_the_page_stands_alone_and_foreign_text_is_text():
    known = Known({"T1": EVIL}, {"T1": (EVIL, "execution")}, frozenset({"T1"}))
    found = gathered(
        [Covering(EVIL, "i", EVIL, ("T1",), ("execution",), frozenset({"written", "tested"}))], known
    )
    page = coverage_page(found, title=EVIL, at=EVIL)
    parser = Outside()
    parser.feed(page)
    assert parser.open == []
    assert parser.bad == []
    assert parser.tags <= {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "span", "main",
                           "section", "small", "details", "summary", "ul", "li"}  # fmt: skip
    assert "url(" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_the_table_shows_the_steps_and_steers_no_terminal():
    rules = [Covering(f"rule-{n}", f"i{n}", "t", (f"T100{n}",), ("execution",), holds) for n, holds in enumerate((
        frozenset({"written"}), frozenset({"written", "tested"}), frozenset({"written", "tested", "fed", "proven"}),
    ))]  # fmt: skip
    found = gathered(
        [*rules, Covering("x\x1b[2J", "j", "t", (), ("execution",), frozenset({"written"}))], Known()
    )
    with console.capture() as shown:
        console.print(coverage_tables(found))
    text = shown.get()
    assert "\x1b[2J" not in text
    assert all(
        part in text
        for part in ("T1000", "█░░░ written", "██░░ tested", "████ proven", "1 rule without a technique")
    )
