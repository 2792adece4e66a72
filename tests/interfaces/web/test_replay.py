"""Gate replay in the console: begun by whoever may, watched, ended when nobody looks; its address says all."""

import asyncio
import re
import threading
import time

import pytest
from consoled import browser, built, joined, send, workspace
from hypothesis import given
from hypothesis import strategies as st

from lemnis.app import gate_trial, scans
from lemnis.app.gate_trial import Outcome, Tried
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import BusyError
from lemnis.contracts.findings import Effect, Finding, Health, Reason, ScanHealth, ScanReport
from lemnis.contracts.ids import stable_id
from lemnis.interfaces.web import replay, replay_drawing, running
from lemnis.store.git import Repository

POLICY = "new_findings_below_medium"
ADDRESS = "/pipeline/replay?stage=build&repository=shop&last=20"


@pytest.fixture
def soc(tmp_path, monkeypatch):
    """A workspace with a repository of four commits, and a scanner of a dozen lines."""

    def found(repository, one):
        for path, data in repository.tree(one.id):
            for number, text in enumerate(data.decode().splitlines(), 1):
                if "BAD" in text:
                    name = stable_id("fp", path, text)
                    yield Finding(name, "fake", "bad", "a bad thing", Severity.HIGH, path, number, number)

    def reports(_workspace, repository, commits, *, library=None):
        health = (ScanHealth("fake", "1", Health.OK, 1, (), 1),)
        return {one.id: ScanReport(tuple(found(repository, one)), health) for one in commits}

    monkeypatch.setattr(scans, "reports", reports)
    made = workspace(tmp_path)
    shop = Repository.create(tmp_path / "shop")
    for n, text in enumerate(["x\n", "BAD\n", "y\n", "BAD again of kim@shop.example\n"]):
        (shop.path / "x.py").write_text(text)
        shop.commit_all(
            f"change {n} for kim@shop.example", author="A <a@example.org>", at=1_780_000_000_000 + n
        )
    (made.root / "lemnis.yaml").write_text(
        f"name: soc\nrepositories:\n  - {{name: shop, path: {shop.path}}}\n"
    )
    return made


async def ended(who, address):
    for _ in range(3_000):
        page = await who.get(address)
        if "data-going" not in page.text:
            return page
        await asyncio.sleep(0.02)
    raise AssertionError(page.text)


# -- pure --------------------------------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.sampled_from(["stage", "repository", "last", "policy", "effect", "draft"]),
        st.text("ab=&%é<\x00 ", max_size=70),
    )
)
def test_whatever_an_address_says_it_is_a_choice_and_its_address_is_its_own(given_):
    choice = replay.chosen(given_, ["shop", "till"])
    pairs = dict(re.findall(r"(\w+)=([^&]*)", choice.address)) | {"policy": choice.policy}
    assert choice.stage in replay.STAGES
    assert choice.last in replay.LAST
    assert replay.chosen(pairs, ["shop", "till"]).address == choice.address or choice.images


EFFECTS = st.sampled_from(list(Effect))
OUTCOMES = st.lists(
    st.builds(
        lambda n, before, after: Outcome(f"commit:{n}", "<b>'\"", n, before, after, (), ()),
        st.integers(0, 10**13), st.none() | EFFECTS, EFFECTS,
    ),
    max_size=12,
)  # fmt: skip


@given(OUTCOMES)
def test_pictures_say_what_they_show_and_every_outcome_is_in_them(outcomes):
    found = Tried(tuple(outcomes), "sha256:0")
    flows = replay_drawing.flows(found.flows, left="then", right="today")
    strip = replay_drawing.strip(found.outcomes, left="then", right="today")
    assert flows.count('class="ribbon') == len(found.flows)
    assert strip.count('class="mark"') == sum(one.changed for one in outcomes)
    assert strip.count("<g>") == len(outcomes)
    assert "<b>" not in flows + strip


def test_a_replay_counts_what_is_newly_refused_and_what_became_of_it():
    no = (Reason("p", Effect.DENY, "m", where="x.py:1", finding="fp-1"),)
    outcomes = (
        Outcome("commit:a", "a", 1, Effect.ALLOW, Effect.DENY, no, (), mended=("x.py:1",)),
        Outcome("commit:b", "b", 2, Effect.ALLOW, Effect.DENY, no, (), stays=("x.py:1",)),
        Outcome("commit:c", "c", 3, Effect.DENY, Effect.ALLOW, (), no),
        Outcome("commit:d", "d", 4, Effect.DENY, Effect.DENY, (), ()),
    )
    shown = replay.shown(Tried(outcomes, "sha256:0"))
    assert (shown.total, shown.stopped, shown.freed, shown.mended, shown.stays) == (4, 2, 1, 1, 1)
    assert [one.title for one in shown.changed] == ["c", "b", "a"]


def test_why_says_what_became_of_each_reason_once():
    def reason(effect, message):
        return Reason("p", effect, message, where="x.py:1")

    new = (reason(Effect.ALLOW, "a"), reason(Effect.DENY, "b"))
    gone = (reason(Effect.DENY, "a"), reason(Effect.DENY, "c"))
    one = Outcome("commit:a", "a", 1, Effect.DENY, Effect.DENY, new, gone)
    assert [(word, told.message) for word, told in replay.why(one)] == [
        ("now warns", "a"), ("now refuses", "b"), ("no longer", "c"),
    ]  # fmt: skip


# -- work beside a page ------------------------------------------------------------------------------------


def test_work_ends_when_nobody_looks_and_at_once_when_it_is_stopped():
    now, told = [0.0], threading.Event()
    works = running.Works(lambda: now[0])

    def make(tell):
        told.wait(5)
        tell(1, 2)
        return "done"

    left = works.begin("a", "ana", make)
    with pytest.raises(BusyError):
        works.begin("b", "ana", make)
    assert works.begin("a", "lee", make) is left
    works.leave("a")
    now[0] = running.GRACE_S + 1
    told.set()
    settle(left)
    assert (left.result, left.ended, left.done, left.of) == (None, "nobody looked any more", 1, 2)
    told.clear()
    again = works.begin("a", "ana", make)
    works.stop("a")
    told.set()
    settle(again)
    assert again.ended == "it was stopped"


def test_who_looks_keeps_work_going_and_what_goes_wrong_is_told():
    now = [0.0]
    works = running.Works(lambda: now[0])
    go = threading.Event()

    def make(tell):
        go.wait(5)
        tell(1, 1)
        return "done"

    work = works.begin("a", "ana", make)
    works.leave("a")
    now[0] = 3.0
    assert works.look("a") is work
    now[0] = running.LEASE_S
    go.set()
    settle(work)
    assert work.result == "done"
    bad = works.begin("b", "ana", lambda _tell: 1 / 0)
    settle(bad)
    assert "division by zero" in bad.wrong.what
    for n in range(running.KEPT + 5):
        settle(works.begin(f"n{n}", "ana", lambda _tell: "n"))
    assert works.look("a") is None


def settle(work):
    until = time.monotonic() + 60
    while work.going and time.monotonic() < until:
        time.sleep(0.001)
    assert not work.going


# -- pages -------------------------------------------------------------------------------------------------


def test_a_policy_that_only_warns_is_replayed_and_its_address_shows_it_to_others(soc):
    async def run():
        made = built(soc)
        ana, vera = joined(made, "ana", "detection_engineer"), joined(made, "vera", "viewer")
        async with browser(made, cookie=ana) as one, browser(made, cookie=vera) as other:
            page = await one.get(f"{ADDRESS}&policy={POLICY}")
            fields = {
                "stage": "build",
                "repository": "shop",
                "last": "20",
                "policy": POLICY,
                "effect": "warn",
            }
            begun = await send(one, page, "/pipeline/replay", do="replay", **fields)
            done = await ended(one, begun.headers["location"])
            refused = await send(
                other, await other.get("/pipeline"), "/pipeline/replay", do="replay", **fields
            )
            return (
                page,
                begun,
                done,
                refused,
                await other.get(begun.headers["location"]),
                await other.get(ADDRESS),
            )

    page, begun, done, refused, seen, nothing = asyncio.run(run())
    assert "package lemnis.new_findings_below_medium" in page.text
    assert begun.headers["location"] == f"{ADDRESS}&policy={POLICY}&effect=warn"
    assert re.findall(r"<b>(\d+)</b><span>([\w ]+)", done.text) == [
        ("4", "changes replayed"), ("2", "outcomes changed"), ("0", "newly refused"),
        ("2", "no longer refused"),
    ]  # fmt: skip
    assert "a bad thing" in done.text
    assert "kim@shop.example" not in done.text
    assert "person~" in done.text
    assert 'class="drawing flows"' in done.text
    assert refused.status_code == 403
    assert "2</b><span>outcomes changed" in seen.text
    assert (
        ">Replay"
        not in seen.text.partition("<main")[2]
        .replace("<h1>Gate replay", "")
        .partition("data-replay")[0]
        .partition("</nav>")[2]
    )
    assert "takes the permission rule.change" in nothing.text


def test_another_text_is_kept_by_its_digest_and_what_is_wrong_with_it_is_told(soc):
    never = f'package lemnis.{POLICY}\nimport rego.v1\ndeny contains reason if {{\n  false\n  reason := {{"message": "m"}}\n}}\n'
    fields = {"stage": "build", "repository": "shop", "last": "20", "policy": POLICY, "do": "replay"}

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "detection_engineer")) as ana:
            page = await ana.get(f"{ADDRESS}&policy={POLICY}")
            begun = await send(ana, page, "/pipeline/replay", text=never, **fields)
            wrong = await send(ana, page, "/pipeline/replay", text="package lemnis.x\n<script>", **fields)
            large = await send(ana, page, "/pipeline/replay", text="x" * 60_001, **fields)
            done = await ended(ana, begun.headers["location"])
            lost = await ana.get(re.sub(r"draft=\w{64}", f"draft={'0' * 64}", begun.headers["location"]))
            return begun, wrong, large, done, lost

    begun, wrong, large, done, lost = asyncio.run(run())
    assert re.search(r"draft=[0-9a-f]{64}$", begun.headers["location"])
    assert wrong.status_code == 400
    assert "as tried:" in wrong.text
    assert "<script>" not in wrong.text.partition("<main")[2]
    assert large.status_code == 400
    assert "2</b><span>outcomes changed" in done.text
    assert "  false" in done.text
    assert "no longer kept" in lost.text


def test_who_leaves_ends_a_replay_and_progress_is_shown_meanwhile(soc, monkeypatch):
    held, whole = threading.Event(), gate_trial.commits

    def slow(*given_, tell, **more):
        def told(done, of):
            if done == 2:
                held.wait(90)
            tell(done, of)

        return whole(*given_, tell=told, **more)

    monkeypatch.setattr(gate_trial, "commits", slow)
    monkeypatch.setattr(running, "LEASE_S", 0.05)
    monkeypatch.setattr(running, "GRACE_S", 0.0)
    fields = {"stage": "build", "repository": "shop", "last": "20"}

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "detection_engineer")) as ana:
            page = await ana.get(ADDRESS)
            monkeypatch.setattr(running, "LEASE_S", 60.0)
            await send(ana, page, "/pipeline/replay", do="replay", **fields)
            for _ in range(200):
                going = await ana.get(ADDRESS)
                if "1 of 4" in going.text:
                    break
                await asyncio.sleep(0.01)
            left = await send(ana, going, "/pipeline/replay", do="left", **fields)
            held.set()
            async with asyncio.timeout(60):  # who asks meanwhile would look at it
                while any(one.name == "a replay" for one in threading.enumerate()):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
            return going, left, await ana.get(ADDRESS)

    going, left, after = asyncio.run(run())
    assert "1 of 4" in going.text
    assert '<meta http-equiv="refresh" content="5">' in going.text
    assert left.status_code == 204
    assert "nobody looked any more" in after.text


def test_without_a_repository_or_an_image_it_is_said_what_lacks(soc):
    (soc.root / "lemnis.yaml").write_text("name: soc\n")

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "detection_engineer")) as ana:
            page = await ana.get("/pipeline/replay")
            none = await send(ana, page, "/pipeline/replay", do="replay", stage="build")
            begun = await send(ana, page, "/pipeline/replay", do="replay", stage="deploy")
            return none, await ended(ana, begun.headers["location"])

    none, images = asyncio.run(run())
    assert (none.status_code, "name no repository" in none.text) == (404, True)
    assert "decided on no image yet" in images.text
