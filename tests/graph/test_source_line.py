import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding
from lemnis.contracts.provenance import Strength
from lemnis.graph.source_line import locate, read


def finding(path, line, severity=Severity.HIGH):
    return Finding(f"fp-{path}-{line}", "bandit", "B602", "t", severity, path, line, line, (78,))


def files(**texts):
    return [(f"app/{name}.py", textwrap.dedent(text).encode()) for name, text in texts.items()]


EXPORT = """
    import subprocess

    def convert(name):
        return subprocess.run("tool " + name, shell=True)
"""


@pytest.mark.parametrize(
    "web",
    [
        '@app.route("/report/export", methods=["GET"])\ndef export(q):\n    return convert(q)\n',
        'def export(q):\n    return convert(q)\n\nROUTES = {"/report/export": export}\n',
        'def export(q):\n    return convert(q)\n\nROUTES = {("GET", "/report/export"): export}\n',
        'def export(q):\n    return exporter.convert(q)\n\nROUTES = [("GET", "/report/export", export)]\n',
        'def export(q):\n    return convert(q)\n\nrouter.add("/report/export", export)\n',
        'def do_GET(self):\n    if self.path == "/report/export":\n        return convert(1)\n',
        '@get("/report/<kind>")\ndef export(q):\n    return run_later(convert, q)\n\ndef run_later(f, q):\n    return f(q)\n\nfrom x import convert\n',
    ],
)
def test_from_the_route_through_the_calls_to_the_line(web):
    source = [("app/web.py", web.encode()), *files(export=EXPORT)]
    found = locate(
        read(source),
        ["/report/export?name=x"],
        [finding("app/export.py", 5), finding("app/other.py", 1, Severity.CRITICAL)],
    )
    if found.strength is Strength.RECORDED:
        assert (found.path, found.line, found.method) == ("app/export.py", 5, "route_calls_finding")
        assert found.calls[-1] == "convert"
    else:
        pytest.fail(f"not traced: {found}")


def test_without_a_way_the_gravest_finding_is_a_mere_name_match():
    found = locate(
        read(files(export=EXPORT)), ["/elsewhere"], [finding("a.py", 1, Severity.LOW), finding("b.py", 2)]
    )
    assert (found.path, found.strength, found.calls) == ("b.py", Strength.NAME_MATCH, ())
    assert locate(read([]), ["/x"], []) is None


def test_the_graver_finding_on_the_way_wins():
    text = "@get('/x')\ndef a():\n    one()\n    b()\n\ndef b():\n    two()\n"
    found = locate(
        read([("m.py", text.encode())]), ["/x"], [finding("m.py", 3, Severity.LOW), finding("m.py", 7)]
    )
    assert (found.line, found.calls) == (7, ("a", "b"))


TWO = """
    def preview(to):
        command = f"render-label --to {to}"
        return run(["/bin/sh", "-c", command])

    def backup():
        return run("tar-all " + FOLDER, shell=True)
"""


def test_the_text_that_was_seen_to_be_run_confirms_the_line():
    code, graver = read(files(two=TWO)), finding("app/two.py", 7, Severity.CRITICAL)
    low = finding("app/two.py", 4, Severity.LOW)
    found = locate(code, ["/elsewhere"], [graver, low], ["/bin/sh -c render-label  --to x; id"])
    assert (found.line, found.said, found.method) == (4, "render-label --to", "text_in_command")
    assert found.strength is Strength.LABEL
    assert locate(code, ["/elsewhere"], [graver, low], ["/bin/date"]).line == 7


def test_a_text_that_was_run_outweighs_severity_among_the_reached():
    routed = (
        TWO
        + """
    ROUTES = {"/label": both}

    def both(q):
        backup()
        preview(q)
"""
    )
    found = locate(
        read(files(two=routed)),
        ["/label"],
        [finding("app/two.py", 7, Severity.CRITICAL), finding("app/two.py", 4, Severity.LOW)],
        ["sh -c render-label --to x; id"],
    )
    assert (found.line, found.calls, found.strength) == (4, ("both", "preview"), Strength.RECORDED)


def test_what_cannot_be_parsed_is_named():
    assert read([("a.py", b"def ("), ("b.py", b"x = 1"), ("c.txt", b"("), ("d.py", b"\0")]).skipped == [
        "a.py",
        "d.py",
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_named(content):
    code = read([("x.py", content)])
    assert code.skipped in ([], ["x.py"])
