"""The line by stack traces and routes where findings do not lead to it, and what is said when they disagree."""

import pytest

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding
from lemnis.contracts.provenance import Strength
from lemnis.graph.code.lines import Logged, Source
from lemnis.graph.code.stacktraces import stacks
from lemnis.graph.source_line import Located

WEB = b"""from flask import Flask, request
from shop import labels
app = Flask(__name__)

@app.get("/labels/preview")
def preview():
    return labels.preview(request.args["text"])

@app.get("/other")
def other():
    return ""
"""
LABELS = b"""import subprocess

def preview(text):
    return subprocess.run(["/bin/sh", "-c", f"echo {text} | fold"], capture_output=True).stdout
"""
EXPRESS = b"""const app = require('express')();
app.get('/run', (req, res) => {
  exec(req.query.text);
});
"""
FILES = {"shop/web.py": WEB, "shop/labels.py": LABELS, "web/run.js": EXPRESS}
REQUEST = [("GET", "/labels/preview")]


def traced(*frames, tie=Strength.OBSERVED, error="ValueError: x;id"):
    lines = "".join(
        f'  File "{file}", line {line}, in {function}\n    x\n' for file, line, function in frames
    )
    [one] = stacks(f"Traceback (most recent call last):\n{lines}{error}\n")
    return Logged("ev-log", 5, one, tie)


THROUGH = (("/app/shop/web.py", 7, "preview"), ("/app/shop/labels.py", 4, "preview"))


def gravest(path="tools/notes.py", line=4):
    return Located(path, line, "gravest_finding", Strength.NAME_MATCH, "", (), (finding(path, line),))


def finding(path, line, severity=Severity.HIGH):
    return Finding(f"fp-{path}-{line}", "semgrep", "r", "t", severity, path, line, line, (78,))


def find(*logged, located=None, requests=REQUEST, findings=()):
    return Source(FILES).find(located, requests, findings, logged)


def test_a_stack_trace_that_tells_of_the_request_names_the_line():
    found = find(traced(*THROUGH))
    line = found.located
    assert (line.path, line.line, line.method, line.strength) == (
        "shop/labels.py", 4, "stack_trace", Strength.OBSERVED,
    )  # fmt: skip
    assert (line.calls, found.events, found.route) == (("preview", "preview"), ("ev-log",), "/labels/preview")
    assert found.notes == ("the route's handler is among the frames: preview (shop/web.py:6)",)


def test_one_of_the_container_is_a_label_and_one_about_then_a_name_match():
    assert find(traced(*THROUGH, tie=Strength.LABEL)).located.strength is Strength.LABEL
    found = find(traced(*THROUGH, tie=Strength.NAME_MATCH))
    assert (found.located.method, found.located.strength) == ("stack_trace", Strength.NAME_MATCH)
    elsewhere = find(traced(("/app/shop/web.py", 11, "other"), tie=Strength.NAME_MATCH))
    assert (elsewhere.located.method, elsewhere.located.line) == ("route", 6)
    assert "a stack trace about then is at shop/web.py:11 (other)" in elsewhere.notes


def test_the_route_alone_names_the_handler_and_no_more():
    found = find()
    line = found.located
    assert (line.path, line.line, line.method, line.strength) == (
        "shop/web.py",
        6,
        "route",
        Strength.NAME_MATCH,
    )
    assert "no finding or stack trace names the line" in found.notes[0]
    assert find(requests=[("POST", "/labels/preview")]) is None
    assert find(requests=[]) is None


def test_stack_trace_and_route_that_disagree_are_told_and_weak():
    found = find(traced(("/app/shop/web.py", 11, "other")))
    assert (found.located.line, found.located.strength) == (11, Strength.NAME_MATCH)
    assert found.notes == (
        "the route GET /labels/preview is handled at preview (shop/web.py:6), which is in no frame",
    )


def test_a_stack_trace_that_contradicts_the_finding_is_told_and_weakens_it():
    led = Located(
        "tools/notes.py",
        4,
        "route_calls_finding",
        Strength.RECORDED,
        "/x",
        ("a",),
        (finding("tools/notes.py", 4),),
    )
    assert find(located=led).located is led
    found = find(traced(*THROUGH), located=led)
    assert (found.located.path, found.located.strength) == ("tools/notes.py", Strength.NAME_MATCH)
    assert "a stack trace of this attack is at shop/labels.py:4 (preview)" in found.notes[0]
    assert find(traced(*THROUGH, tie=Strength.NAME_MATCH), located=led).located is led
    same = Located(
        "shop/labels.py",
        4,
        "route_calls_finding",
        Strength.RECORDED,
        "/x",
        ("a",),
        (finding("shop/labels.py", 4),),
    )
    assert find(traced(*THROUGH), located=same).located is same


def test_a_finding_that_nothing_leads_to_gives_way_to_a_stack_trace_only():
    assert find(traced(*THROUGH), located=gravest()).located.method == "stack_trace"
    kept = find(located=gravest())
    assert kept.located.method == "gravest_finding"
    assert "leads to preview (shop/web.py:6), and from there to no finding" in kept.notes[0]


def test_a_finding_in_the_handler_of_another_language():
    found = find(
        requests=[("", "/run")], findings=[finding("web/run.js", 3)], located=gravest("web/run.js", 3)
    )
    line = found.located
    assert (line.line, line.method, line.strength, line.route) == (
        3,
        "route_holds_finding",
        Strength.RECORDED,
        "/run",
    )


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        (("/app/shop/labels.py", 2, "preview"), "is not in preview"),
        (("/some/where/else/shop/labels.py", 4, "preview"), "is not sure to have"),
    ],
)
def test_a_frame_that_does_not_fit_the_commit_is_doubted(frame, word):
    found = find(traced(frame), requests=[])
    assert (found.located.method, found.located.strength) == ("stack_trace", Strength.NAME_MATCH)
    assert word in found.notes[0]


def test_a_line_that_the_commit_does_not_have_is_no_line():
    assert find(traced(("/app/shop/labels.py", 5, "preview")), requests=[]) is None
    found = find(traced(("/app/shop/labels.py", 500, "preview")))
    assert found.located.method == "route"
    assert "shop/labels.py has no line 500 in the commit that was built" in found.notes


def test_routes_that_nothing_sets_apart_are_all_told():
    twice = {**FILES, "shop/more.py": WEB.replace(b"def preview", b"def again")}
    found = Source(twice).find(None, REQUEST, [], [])
    assert found.located.strength is Strength.NAME_MATCH
    [told] = [one for one in found.notes if "not sure" in one]
    assert "again (shop/more.py:6)" in told
    assert "preview (shop/web.py:6)" in told
