"""Playbooks and triggers that are made to hurt: refused with file and line, or bounded; nothing else suffers."""

import asyncio
import time

import httpx
import orjson
import pytest
from settling import ROLES, STEPS, settle
from vendor import site

from lemnis.app import playbook_lint, respond_triggers
from lemnis.app.respond_service import Responder
from lemnis.app.respond_webhooks import Proof, application
from lemnis.content.library import Library
from lemnis.contracts.errors import ContentError, InputError

END = "[{id: e, end: done}]"


@pytest.fixture
def place(tmp_path, monkeypatch):
    with site(tmp_path / "ws", monkeypatch) as made:
        yield made


def problems(place, name="book"):
    found = playbook_lint.lint(Library.open(place.workspace.content), [name])
    assert all(one.error.at.line for one in found)
    return " | ".join(one.error.what for one in found)


def nested(levels, text="[{id: i, if: 'false', then: [{id: e, end: done}]}]"):
    for number in range(levels):
        text = f"[{{id: w{number}, while: 'true', max_turns: 20, do: {text}}}]"
    return text


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("[]", "at least 1 item"), ("hello", "valid tuple"), ("", "valid tuple"), ("[{id: a}]", "a step is one of"),
        ("[{id: a, end: done, ask: {text: x}}]", "a step is one of"), ("[{id: A-B, end: done}]", "pattern"),
        ("[{id: a, end: done}, {id: a, end: done}]", "names two things"), ("[{id: turn, end: done}]", "conditions call so already"),
        ("[{id: a, if: 'nobody > 1', then: " + END + "}]", "nobody"), ("[{id: a, if: '1 +', then: " + END + "}]", "no condition"),
        ("[{id: a, if: '" + "(" * 400 + "true" + ")" * 400 + "', then: " + END + "}]", "recursion limit"), ("[{id: a, while: 'true', max_turns: 1000000000, do: " + END + "}]", "less than or equal"),
        ("[{id: a, action: vendor.switch, with: {name: '{gone}'}}]", "nothing gives {gone}"), ("[{id: a, action: vendor.none, with: {}}]", "no action"),
        ("[{id: a, action: '../../etc/passwd', with: {}}]", "pattern"), ("[{id: a, playbook: '../x'}]", "pattern"),
        ("[{id: a, playbook: book}]", "call each other"), ("[{id: a, ask: {text: 'may {nobody} go?'}}]", "nothing gives {nobody}"),
        ("[{id: a, python: 'os_system', with: {c: id}}]", "no package registers"), ("[!!python/object/apply:os.system [id]]", "not allowed in content"),
        ("[{id: a, action: vendor.switch, with: {name: a}, timeout_s: .inf}]", "less than or equal"), ("[{id: a, action: vendor.switch, with: {name: a}, ttl_min: -1}]", "greater than or equal"),
        ("[{id: a, switch: severity, cases: {" + ", ".join(f"c{n}: {END.replace('id: e', f'id: e{n}')}" for n in range(3)) + "}, default: 7}]", "valid tuple"),
        ("&a [{id: a, parallel: *a}]", "too large once"), ("[" * 500 + "]" * 500, "nested too deeply"),
    ],
)  # fmt: skip
def test_it_is_refused_with_its_place(place, steps, said):
    place.playbook("", head=f"steps: {steps}\nx-rest:\n" if steps else "")
    path = place.root / "content/playbooks/book/playbook.yaml"
    path.write_text(
        path.read_text().split("x-rest:")[0].removesuffix("steps:\n") + ("" if steps else "steps:\n")
    )
    found = problems(place)
    assert said in found


@pytest.mark.slow
def test_turns_within_turns_are_counted(place):
    place.playbook(f"- {{id: a, if: 'true', then: {nested(6)}}}")
    began = time.process_time()
    with pytest.raises(InputError, match="more than 5,000 steps"):
        place.plan()
    assert time.process_time() - began < 20


@pytest.mark.slow
def test_calls_of_calls_are_counted_and_linted_quickly(place):
    for level in range(25):
        inner = f"c{level + 1}" if level < 24 else ""
        steps = (
            "".join(f"- {{id: s{n}, playbook: {inner}}}\n" for n in range(10))
            if inner
            else "- {id: e, if: 'false', then: [{id: x, end: done}]}\n"
        )
        place.playbook(steps, name=f"c{level}")
    place.playbook("- {id: a, playbook: c18}\n")
    began = time.process_time()
    assert problems(place, "c0") == ""
    with pytest.raises(InputError, match="more than 5,000 steps"):
        place.plan()
    assert time.process_time() - began < 30


def test_a_way_back_is_found_wherever_it_begins(place):
    place.playbook("- {id: a, playbook: one}\n- {id: b, playbook: two}\n")
    place.playbook("- {id: a, playbook: two}\n", name="one")
    place.playbook("- {id: a, playbook: three}\n", name="two")
    place.playbook("- {id: a, playbook: two}\n", name="three")
    assert "book → one → two → three → two" in problems(place)


@pytest.mark.parametrize(
    "cron", ["0 0 31 2 *", "0 0 30 2 *", "60 * * * *", "*/0 * * * *", "R R * * *", "H * * * *", "a b c d e"]
)
def test_a_schedule_without_a_moment_is_refused_and_hurts_nothing(place, cron):
    place.playbook(STEPS, head=f'triggers: [{{by: schedule, cron: "{cron}"}}]\n')
    assert "is no schedule" in problems(place)
    trigger = respond_triggers.Armed("book", None, type("Trigger", (), {"cron": "0 0 31 2 *"}))
    assert list(respond_triggers.ticks(trigger, 0, 10**12)) == []


def test_a_defect_in_one_step_does_not_end_response(place, monkeypatch, caplog):
    place.playbook(STEPS)
    place.settings(ROLES + "playbooks: {start: [book]}\n")
    with Responder(place.workspace) as responder:
        settle(responder)
        monkeypatch.setattr(respond_triggers, "wants", lambda *_: 1 / 0)
        place.incident("in-0000000000000001", ["host:x"])

        async def keep():
            stop = asyncio.Event()
            task = asyncio.create_task(responder.keep(stop))
            async with asyncio.timeout(60):
                while "a defect" not in caplog.text:  # noqa: ASYNC110 - nothing else tells of it
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            assert not task.done()
            stop.set()
            await task

        asyncio.run(keep())
    assert "a defect" in caplog.text


def test_bodies_of_webhooks_that_hurt(place):
    place.playbook(
        STEPS, head='triggers: [{by: webhook, if: "trigger.a == 1", entities: ["host:{asset}"]}]\n'
    )
    place.settings(ROLES + "playbooks: {start: [book]}\n")

    def deep(levels):
        return b'{"k":' * levels + b"1" + b"}" * levels

    bodies = [deep(60), deep(1000), deep(100_000), b'{"a": 1e999}', b'{"a": "\\ud800"}', b"\xff", b'{"asset": "{x}"}',
              b'{"asset": [1]}', b'{"a": 1}', orjson.dumps({"asset": "x\r\ny", "a": 1, "@facts": {"entities": ["host:evil"]}})]  # fmt: skip

    async def ask(responder):
        transport = httpx.ASGITransport(application(responder, Proof("t")))
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            key = {"Authorization": "Bearer t"}
            return [
                (await client.post("/playbooks/book", content=one, headers=key)).status_code for one in bodies
            ]

    with Responder(place.workspace) as responder:
        found = asyncio.run(ask(responder))
    assert found[:6] == [400] * 6
    assert set(found) <= {202, 400}
    planned = list(place.journal().entries(kind="playbook.planned"))
    assert all("evil" not in str(one.payload["actions"]) for one in planned)


def test_a_question_shows_its_values_and_values_are_no_templates(place):
    text = "title: t\ninputs: {one: {select: host}}\nsteps:\n  - {id: ask, ask: {text: 'May {one} go? {{one}}'}}\n"
    place.write("playbooks/book/playbook.yaml", text)
    assert problems(place) == ""
    planned = place.plan(hosts=("{incident.id}",))
    assert planned.plan.actions[0].arguments["text"] == "May {incident.id} go? {one}"


def test_yaml_that_grows_is_not_followed(place):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    place.write("playbooks/book/playbook.yaml", "title: t\n" + "\n".join(lines) + "\nsteps: *a11\n")
    began = time.process_time()
    with pytest.raises(ContentError, match="too large once its aliases are followed"):
        place.plan()
    assert time.process_time() - began < 5
