"""Findings over the API: listed by how they stand, decided on by whoever may, once, and nobody overtaken."""

import threading

import anyio
import guarding
import pytest

from lemnis.app import findings_decisions as deciding
from lemnis.app import findings_life
from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport

API = "/api/v1"
PRINTS = [f"fp-{n:016x}" for n in range(1, 4)]
ACCEPT = {"decision": "accept", "reason": "behind a proxy", "until": "2026-12-31"}


@pytest.fixture
def soc(tmp_path):
    return guarding.workspace(tmp_path)


@pytest.fixture
def made(soc):
    built = guarding.console_of(soc)
    for name, roles, teams in (
        ("sam", ("developer", "analyst"), ()), ("tom", ("developer",), ("billing",)), ("vera", ("viewer",), ()),
    ):  # fmt: skip
        guarding.joined(built, name, *roles, teams=teams)
    return built


@pytest.fixture
def problems(soc):
    found = tuple(
        Finding(
            one, "bandit", "B602", f"A shell of kim@shop.example {n}", Severity.HIGH, f"a{n}.py", 5, 5, (78,)
        )
        for n, one in enumerate(PRINTS)
    )
    health = (ScanHealth("bandit", "1", Health.OK, 1, (), 1),)
    findings_life.remember(soc, ScanReport(found, health), resource="shop", revision="r1")
    return [findings_life.problem(soc, one).id for one in PRINTS]


def asking(built, name="sam", *scopes, **how):
    key = guarding.token(built, name, *scopes)
    return guarding.client(built, key=key, base=f"{guarding.BASE}{API}", **how)


def test_a_finding_is_decided_on_and_listed_by_how_it_stands(made, problems):
    first, *others = problems

    async def work():
        async with asking(made) as sam:
            done = await sam.post(f"/findings/{first}/decisions", json=ACCEPT)
            assert done.status_code == 201, done.text
            told = done.json()
            assert (told["state"], told["version"], told["decided"]["by"]) == ("accepted", 1, "sam")
            assert (told["decided"]["until"], told["void"]) == ("2026-12-31", "")
            assert {one["id"] for one in (await sam.get("/findings")).json()["items"]} == set(others)
            aside = (await sam.get("/findings", params={"state": "accepted"})).json()["items"]
            assert [one["id"] for one in aside] == [first]
            assert len((await sam.get("/findings", params={"state": "all"})).json()["items"]) == 3
            await sam.post(f"/findings/{PRINTS[1]}/decisions", json={"decision": "assign", "to": "sam"})
            mine = (await sam.get("/findings", params={"owner": "me"})).json()["items"]
            assert [one["owner"] for one in mine] == ["sam"]
            past = (await sam.get(f"/findings/{first}/decisions")).json()
            assert [(one["decision"], one["reason"]) for one in past] == [("accept", "behind a proxy")]
            assert "kim@shop.example" not in done.text

    anyio.run(work)


def test_nobody_is_overtaken_and_what_is_sent_twice_is_done_once(made, soc, problems):
    place = f"/findings/{problems[0]}/decisions"

    async def work():
        async with asking(made) as sam:
            tag = (await sam.get(f"/findings/{problems[0]}")).headers["etag"]
            once = {"if-match": tag, "idempotency-key": "k1"}
            first = await sam.post(place, json=ACCEPT, headers=once)
            again = await sam.post(place, json=ACCEPT, headers=once)
            assert (first.status_code, again.status_code) == (201, 201)
            assert again.headers["idempotency-replayed"] == "true"
            late = await sam.post(place, json={"decision": "fixed", "reason": "r"}, headers={"if-match": tag})
            assert late.status_code == 412
            assert late.headers["content-type"] == "application/problem+json"
            other = await sam.post(
                place, json={"decision": "fixed", "reason": "r"}, headers={"idempotency-key": "k1"}
            )
            assert other.status_code == 422
            now = first.headers["etag"]
            good = await sam.post(
                place, json={"decision": "reopen", "reason": "r"}, headers={"if-match": now}
            )
            assert (good.status_code, good.json()["state"]) == (201, "open")

    anyio.run(work)
    assert [one.word.value for one in deciding.of(soc, problems[0])] == ["accept", "reopen"]


def test_of_two_decisions_at_once_one_is_made(made, soc, problems, monkeypatch):
    meet, real, said = threading.Barrier(2), deciding._check, []

    def check(*given, **more):
        meet.wait(10)
        real(*given, **more)

    monkeypatch.setattr(deciding, "_check", check)

    async def work():
        async with asking(made) as sam:
            tag = (await sam.get(f"/findings/{problems[0]}")).headers["etag"]

            async def one(word):
                body = {"decision": word, "reason": "r"}
                place = f"/findings/{problems[0]}/decisions"
                said.append((await sam.post(place, json=body, headers={"if-match": tag})).status_code)

            async with anyio.create_task_group() as group:
                group.start_soon(one, "fixed")
                group.start_soon(one, "false_positive")

    anyio.run(work)
    assert sorted(said) == [201, 412]
    assert len(deciding.of(soc, problems[0])) == 1


def test_several_are_decided_on_at_once_each_answered_on_its_own(made, soc, problems):
    async def work():
        async with asking(made) as sam:
            body = {
                "ids": [*problems[:2], "fd-0000000000000000"],
                "decision": "false_positive",
                "reason": "test data",
            }
            said = (await sam.post("/findings/decisions", json=body)).json()
            assert [(one["id"], one["done"]) for one in said] == [
                (problems[0], True), (problems[1], True), ("fd-0000000000000000", False),
            ]  # fmt: skip
            assert "no finding" in said[2]["title"]
            many = await sam.post("/findings/decisions", json={**body, "ids": problems * 200})
            assert many.status_code == 422

    anyio.run(work)
    assert [len(deciding.of(soc, one)) for one in problems] == [1, 1, 0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"decision": "accept", "reason": "r"}, 422),
        ({"decision": "accept", "reason": "r", "until": "2020-01-01"}, 422),
        ({"decision": "vanish", "reason": "r"}, 422),
        ({"decision": "fixed", "reason": " "}, 422),
        ({"decision": "reopen", "reason": "r"}, 409),
        ({"decision": "fixed", "reason": "r", "more": 1}, 422),
        ({"decision": "assign", "to": "a\nb"}, 422),
    ],
)
def test_what_is_missing_or_does_not_follow_is_told(made, soc, problems, body, status):
    async def work():
        async with asking(made) as sam:
            answer = await sam.post(f"/findings/{problems[0]}/decisions", json=body)
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == "application/problem+json"

    anyio.run(work)
    assert deciding.of(soc, problems[0]) == ()


def test_it_takes_the_permission_the_scope_and_the_own_teams_service(made, soc, problems):
    (soc.content / "assets").mkdir(parents=True)
    (soc.content / "assets" / "a.yaml").write_text(
        "- id: shop\n  services: [shop]\n  owner: ana\n  team: web\n"
    )
    place = f"/findings/{problems[0]}/decisions"

    async def work():
        for name, scopes in (("vera", ()), ("tom", ()), ("sam", ("finding.read",))):
            async with asking(made, name, *scopes) as one:
                assert (await one.get(place)).status_code == 200
                refused = await one.post(place, json=ACCEPT)
                assert refused.status_code == 403, name
        async with asking(made, "tom") as tom:
            body = {"ids": problems[:1], **ACCEPT}
            [said] = (await tom.post("/findings/decisions", json=body)).json()
            assert (said["done"], said["title"]) == (False, "tom is of no team that owns shop")
        async with guarding.client(made, base=f"{guarding.BASE}{API}") as nobody:
            assert (await nobody.post(place, json=ACCEPT)).status_code in {401, 403}

    anyio.run(work)
    assert deciding.of(soc, problems[0]) == ()
