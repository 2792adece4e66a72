"""CACAO 2.0: valid playbooks come back as they came, invalid ones are refused with place and reason."""

import copy
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard
from vendor import READ, SWITCH

from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook
from lemnis.contracts.errors import InputError
from lemnis.respond import cacao_check, cacao_export, cacao_import

DATA = Path("/work/shared/data/playbooks/cacao/cacao.tar.zst")
INVALID = {
    "changed-playbook.json": "workflow: the workflow is an object of steps",
    "infinite_playbook.json": "it leads back to action--6b23c237",
    "invalid_playbook.json": "agent_definitions.http-api--7e9174ec",
    "missing_step_playbook.json": "there is no step end--6b23c237",
}


def documents():
    if not DATA.exists():
        pytest.skip("the recorded CACAO playbooks are not on this machine")
    raw = zstandard.ZstdDecompressor().stream_reader(DATA.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        files = [one for one in archive.getmembers() if one.name.endswith(".json")]
        return {one.name: json.loads(archive.extractfile(one).read()) for one in files}


def back(document):
    """Import, as YAML would keep it, and export."""
    made = Playbook.model_validate(json.loads(json.dumps(cacao_import.read(copy.deepcopy(document)))))
    return cacao_export.write("imported", made, {}, at=0)


def test_official_examples_come_back_exactly():
    found = {name: one for name, one in documents().items() if name.rpartition("/")[2] not in INVALID}
    assert len(found) >= 8
    assert {name: back(one) == one for name, one in found.items()} == dict.fromkeys(found, True)


def test_what_is_invalid_on_purpose_is_refused_with_place_and_reason():
    found = {name.rpartition("/")[2]: one for name, one in documents().items()}
    for name, said in INVALID.items():
        with pytest.raises(InputError) as error:
            cacao_import.read(found[name], file=name)
        assert said in error.value.what
        assert error.value.at.file == name


def step(kind, number, **more):
    return f"{kind}--00000000-0000-4000-8000-{number:012}", {"type": kind, "name": f"{kind} {number}", **more}


def every_type():
    """A playbook of CACAO's with each of its eight types of steps."""
    ends = dict(step("end", number) for number in range(20, 30))
    e = list(ends)
    command = {
        "commands": [{"type": "ssh", "command": "uptime"}],
        "agent": "ssh--00000000-0000-4000-8000-000000000099",
    }
    actions = dict(step("action", n, on_completion=e[n], **command) for n in range(6))
    a = list(actions)
    while_id, while_step = step(
        "while-condition", 30, condition="__x__:value < 3", on_true=a[0], on_completion=e[6]
    )
    switch_id, switch_step = step(
        "switch-condition",
        31,
        switch="__y__:value",
        cases={"1": a[1], "default": a[2]},
        on_completion=while_id,
    )
    if_id, if_step = step(
        "if-condition",
        32,
        condition="__z__:value == 'a'",
        on_true=a[3],
        on_false=e[7],
        on_completion=switch_id,
    )
    parallel_id, parallel = step("parallel", 33, next_steps=[a[4], a[5]], on_completion=if_id)
    other_id, other = step(
        "playbook-action",
        34,
        playbook_id="playbook--00000000-0000-4000-8000-000000000001",
        on_completion=parallel_id,
    )
    tried_id, tried = step("action", 35, on_success=other_id, on_failure=e[8], **command)
    start_id, start = step("start", 36, on_completion=tried_id)
    workflow = {
        start_id: start, tried_id: tried, other_id: other, parallel_id: parallel, if_id: if_step,
        switch_id: switch_step, while_id: while_step, **actions, **ends,
    }  # fmt: skip
    return {
        "type": "playbook", "spec_version": "cacao-2.0", "id": "playbook--00000000-0000-4000-8000-000000000002",
        "name": "Every type", "created_by": "identity--00000000-0000-4000-8000-000000000003",
        "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z", "workflow_start": start_id,
        "workflow": workflow, "playbook_types": ["investigation"], "something_else": [1, {"a": None}],
    }  # fmt: skip


def test_every_type_of_step_comes_back_exactly():
    document = every_type()
    kinds = {one["type"] for one in document["workflow"].values()}
    assert kinds == set(cacao_check.TYPES)
    assert list(cacao_check.wrong(document)) == []
    assert back(document) == document


def test_two_branches_that_meet_before_the_end_are_refused():
    document = every_type()
    names = list(document["workflow"])
    parallel = next(one for one in document["workflow"].values() if one["type"] == "parallel")
    document["workflow"][parallel["next_steps"][0]]["on_completion"] = parallel["next_steps"][1]
    assert names
    with pytest.raises(InputError, match="two branches lead here"):
        cacao_import.read(document)


OURS = """\
title: Everything
description: All kinds of steps
triggers: [{by: alert, if: "severity > 3"}, {by: hand}]
approval: {role: lead, quorum: 2}
inputs: {host: {select: host, many: true}}
steps:
  - {id: look, action: vendor.read, with: {name: one}, at: run, timeout_s: 5}
  - id: both
    parallel:
      - {id: a, action: vendor.switch, for_each: host, with: {name: "{host}"}, ttl_min: 5, on_failure: continue}
      - {id: b, if: {has: host}, then: [{id: c, evidence: {events: true}}], else: [{id: d, end: failed}]}
  - {id: w, while: "look.said != 'gone'", max_turns: 2, every_s: 3, do: [{id: q, ask: {text: "Go on?", role: lead}}]}
  - {id: s, switch: look.said, cases: {x: [{id: p, playbook: other, with: {host: "{host}"}}]}, default: [{id: f, python: count}]}
"""


def test_ours_goes_out_and_comes_back():
    ours = yaml.load(OURS, Playbook)
    actions = {
        name: yaml.load(text, Action) for name, text in (("vendor.read", READ), ("vendor.switch", SWITCH))
    }
    document = cacao_export.write("everything", ours, actions, at=0)
    assert list(cacao_check.wrong(document)) == []
    kinds = {one["type"] for one in document["workflow"].values()}
    assert kinds == set(cacao_check.TYPES)
    commands = [c for one in document["workflow"].values() for c in one.get("commands", ())]
    assert {"type": "http-api", "command": "POST /things/{name} HTTP/1.1"} in commands
    assert Playbook.model_validate(cacao_import.read(json.loads(json.dumps(document)))) == ours
    assert cacao_export.write("everything", ours, actions, at=0) == document


def test_the_built_in_playbooks_go_out_and_come_back():
    library = Library.open()
    for name, item in library.items("playbooks").items():
        ours = yaml.load(item.manifest, Playbook)
        document = cacao_export.write(name, ours, {}, at=0)
        assert list(cacao_check.wrong(document)) == []
        assert Playbook.model_validate(cacao_import.read(document)) == ours


@pytest.mark.parametrize(
    "junk", [None, [], "x", {}, {"type": "playbook", "workflow": {"a": 3}}, {"workflow": []}]
)
def test_nonsense_is_refused(junk):
    with pytest.raises(InputError):
        cacao_import.read(junk)
