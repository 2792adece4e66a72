"""Content that is forged: documents that multiply, rules that never end, patterns that explode, through what edits them."""

import time

import marked
import pytest
import yaml as pyyaml
from besieged import API, attacked
from marked import START

from lemnis import app
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import LemnisError

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
WITHIN_S = 60
"""What is bounded ends long before, also where others keep the processors busy; what is not never does."""
RULE = """\
title: {title}
id: 00000000-0000-4000-8000-000000000009
logsource: {{product: linux, category: process_creation}}
detection: {{a: {{CommandLine{how}: {value}}}, condition: {condition}}}
level: low
"""


@pytest.fixture(scope="module")
def made(shared):
    shared.join("dee", "detection_engineer")
    return shared


TEXTS = {
    "multiplies": LAUGHS + "description: *a11\ntitle: x\n",
    "multiplies within": "title: x\ndescription: &d [a, a]\n" + LAUGHS,
    "deep": "title: " + "[" * 5_000,
    "deep map": "".join("  " * n + f"k{n}:\n" for n in range(400)),
    "a tag of Python": "!!python/object/apply:os.system ['id']",
    "a tag of Python, named": "title: !!python/name:os.system\n",
    "merges itself": "a: &a\n  <<: *a\n",
    "many documents": "---\ntitle: x\n" * 8_000,
    "a key that is a list": "? [a, b]\n: c\n",
    "an anchor of itself": "a: &a [*a]\n",
    "control characters": "title: \x00\x07\n",
    "a long line": "title: " + "x" * 59_000,
    "empty": "",
    "no text": "\xff\xfe",
    "conditions": RULE.format(title="x", how="|contains", value='"x"', condition=" or ".join(["(a"] * 3_000) + ")" * 3_000),
    "not not": RULE.format(title="x", how="|contains", value='"x"', condition="not " * 8_000 + "a"),
    "explodes": RULE.format(title="x", how="'|re'", value="'^(([a-z])+.)+[A-Z]([a-z])+$'", condition="a"),
    "explodes too": RULE.format(title="x", how="'|re'", value="'(a{1,1000}){1,1000}'", condition="a"),
    "no pattern": RULE.format(title="x", how="'|re'", value="'['", condition="a"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("do", ["try", "save"])
def test_a_rule_that_is_an_attack_is_told_what_is_wrong(made, name, do):
    dee = made.browser("dee")
    begun = time.monotonic()
    answer = dee.send("/detections/edit", do=do, name="forged_rule", text=TEXTS[name], days="365")
    assert time.monotonic() - begun < WITHIN_S
    assert answer.status_code in {200, 303, 400, 409, 413}, answer.text[-400:]
    if do == "save":
        for path in ("/detection/forged_rule", f"{API}/rules/forged_rule"):
            begun = time.monotonic()
            assert dee.get(path).status_code in {200, 404, 422}, path
            assert time.monotonic() - begun < WITHIN_S


@pytest.mark.parametrize(
    "name",
    ["multiplies", "deep", "merges itself", "an anchor of itself", "a tag of Python", "a key that is a list"],
)
def test_a_rule_that_lies_in_the_workspace_fells_no_page(plain, name):
    folder = plain.workspace.content / "detections" / "forged"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_text(TEXTS[name])
    dee = plain.join("dee", "detection_engineer")
    begun = time.monotonic()
    for path in ("/detections", "/detection/forged", f"{API}/rules", f"{API}/rules/forged"):
        answer = dee.get(path)
        assert answer.status_code in {200, 404, 422}, (path, answer.text[-300:])
        assert len(answer.content) < 3_000_000
    assert time.monotonic() - begun < WITHIN_S


REGO = {
    "never ends": 'deny contains reason if {\n    some i in numbers.range(1, 1000000000)\n    some j in numbers.range(1, 1000000000)\n    i * j < 0\n    reason := {"message": "x", "fix": "y"}\n}\n',
    "calls itself": "deny contains reason if {\n    reason := deny[_]\n}\n",
    "asks the network": 'deny contains reason if {\n    http.send({"method": "get", "url": "http://169.254.169.254/"})\n    reason := {"message": "x", "fix": "y"}\n}\n',
    "reads the environment": 'deny contains reason if {\n    opa.runtime().env.HOME\n    reason := {"message": "x", "fix": "y"}\n}\n',
    "grows": 'deny contains reason if {\n    x := concat("", [y | some i in numbers.range(1, 10000000); y := "aaaaaaaaaaaaaaaaaaaa"])\n    reason := {"message": x, "fix": "y"}\n}\n',
}  # fmt: skip


@pytest.mark.parametrize("name", REGO)
def test_a_rule_over_access_that_is_an_attack_lets_nobody_in(tmp_path, name):
    """It cannot be read, and the console says so before it serves; or it cannot be decided, and then refuses."""
    soc = app.init(tmp_path / "soc", clock=ManualClock(START))
    folder = soc.content / "policies/forged"
    folder.mkdir(parents=True)
    (folder / "policy.rego").write_text(f"package lemnis.forged\n\nimport rego.v1\n\n{REGO[name]}")
    (folder / "policy.yaml").write_text("id: forged\ntitle: t\nstages: [access]\n")

    one = marked.incident(soc, marked.alert(1))
    begun = time.monotonic()
    made, why = serving(soc)
    if made is None:
        assert "forged" in why
    else:
        answer = made.join("ana", "analyst").call("GET", f"/incidents/{one}")
        made.end()
        assert answer.status_code == 403, answer.text
    assert time.monotonic() - begun < WITHIN_S


def serving(soc):
    """Return a console over a workspace, or why there is none."""
    try:
        return attacked(soc), ""
    except LemnisError as error:
        return None, str(error)


def test_a_name_of_a_saved_search_is_a_name(made):
    dee = made.browser("dee")
    for text in (LAUGHS, "x\ny: !!python/name:os.system", "message:x'\ntitle: other"):
        dee.send("/search/save", name="forged", q=text, title=text[:100])
    for path in made.workspace.content.glob("searches/*/search.yaml"):
        told = pyyaml.safe_load(path.read_text())
        assert set(told) <= {"title", "query", "since", "until"}
