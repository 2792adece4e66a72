"""Names that are told beside what a page is about: titles of others, cases, questions, echoes, our own words."""

import re

import marked
import pytest
import yaml
from besieged import API, attacked

from lemnis import app
from lemnis.app import cases, incidents, respond
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ContentError, NotFoundError, RefusedError, ServiceError

NAME, OTHER, THIRD = "magdalena.k", "ottokar.w", "theodora.z"
ASKS = {
    "title": "Ask", "steps": [{"id": "sure", "ask": {"text": f"Is it all right with {NAME}?"}}],
}  # fmt: skip


def about(name, host):
    return Entity(EntityKind.USER, name), Entity(EntityKind.HOST, host)


def opened(soc, number, title, entities):
    """Write an alert down that is an incident; return its id."""
    event = {"class_uid": 1007, "time": marked.START, "metadata": {"log_name": "okta"}}
    one = marked.alert(number, title=title, entities=entities, rule=f"rule-{number}", event=event, matched=(),
                       severity=Severity.CRITICAL)  # fmt: skip
    marked.incident(soc, one)
    return incidents.get(soc, one.id).id


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    soc = app.init(tmp_path_factory.mktemp("whispers") / "soc", clock=ManualClock(marked.START + 3_600_000))
    (soc.content / "playbooks/ask").mkdir(parents=True)
    (soc.content / "playbooks/ask/playbook.yaml").write_text(yaml.safe_dump(ASKS))
    many = tuple(Entity(EntityKind.HOST, f"a-{n}") for n in range(4))
    words = tuple(Entity(EntityKind.USER, name) for name in ("timeline", "severity", "owner", "graph"))
    made = attacked(soc)
    made.one, made.two, _, made.four = (
        opened(soc, number, title, entities)
        for number, (title, entities) in enumerate(
            (
                (f"A shell of {NAME}", about(NAME, "web-1")), (f"A door of {OTHER}", about(OTHER, "web-2")),
                (f"Many with {THIRD}", (*many, *about(THIRD, "web-3"))),
                ("Words", (*words, Entity(EntityKind.HOST, "web-4"))),
            ),
            1,
        )
    )  # fmt: skip
    case = cases.create(soc, f"All about {OTHER}", actor="boss")
    cases.add(soc, case.id, made.two, actor="boss")
    cases.note(soc, case.id, f"{OTHER} is on leave", actor="boss")
    planned = respond.plan(soc, "ask", made.one, actor="boss")
    respond.approve(soc, planned.plan.digest, actor="chief", reason="yes")
    respond.run(soc, planned.plan.digest, actor="boss")
    made.plan, made.ran = planned.plan.digest, next(iter(respond.runs(soc))).id
    made.case = case.id
    made.join("ana", *sorted(made.access.rights.roles))
    made.join("ria", *sorted(made.access.rights.roles))
    made.join("pia", "privacy_officer", "analyst")
    yield made
    made.end()


@pytest.fixture
def ana(made):
    return made.browser("ana")


@pytest.mark.parametrize("path", ["/incident/{0.one}", "/cases", "/queue", "/queue?show=all", "/playbooks"])
def test_no_page_names_whom_it_is_not_about(made, ana, path):
    text = ana.get(path.format(made)).text.lower()
    assert not [name for name in (NAME, OTHER, THIRD) if name in text]


def test_those_pages_name_people_to_who_says_what_for(made):
    pia = made.browser("pia")
    pia.send("/purpose", purpose="who came in at night")
    assert OTHER in pia.get(f"/incident/{made.one}").text
    assert OTHER in pia.get("/cases").text
    assert NAME in pia.get("/playbooks").text
    pia.send("/purpose", purpose="")


def test_questions_of_runs_name_nobody_over_the_api(made, ana):
    told = ana.get(f"{API}/questions").json()["items"]
    assert told
    assert NAME not in str(told)
    pia = made.browser("pia")
    shown = pia.get(f"{API}/questions", headers={"x-purpose": "who came in at night"}).json()["items"]
    assert NAME in shown[0]["text"]


def test_what_somebody_types_is_shown_to_them_as_they_typed_it(made, ana):
    """Else a name could be guessed: the page would show what stands for it, and of a wrong one not."""
    for given in (NAME, "wilhelmina.k"):
        text = ana.get(f"/incident/{made.one}", params={"kind": given, "every": given}).text
        assert f"kind={given}" in text, given


def test_our_own_words_stay_where_people_are_called_like_them(made, ana):
    """Else they would tell which word stands behind a pseudonym."""
    text = ana.get(f"/incident/{made.four}").text
    assert "person~" in text
    for ours in (">Timeline</h2>", ">severity<", "h-graph", 'class="drawing graph"', "owner nobody"):
        assert ours in text or ours.replace(">severity<", "<span>severity</span>") in text, ours
    assert not re.search(r'(?:class|id|name|href|role|d)="[^"]*person~(?![^"]*)', text)
    for tag in re.findall(r"<(?:svg|rect|g|section|h2|label|input|button)\b[^>]*>", text):
        bare = re.sub(r'(?:title|aria-label|value)="[^"]*"', "", tag)
        assert "person~" not in bare, tag


ERRORS = (
    (ServiceError(f"GET /users/{NAME} answered 500 {NAME} is locked", fix=f"unlock {NAME}"), True),
    (RefusedError(f"{NAME} is protected"), True),
    (ContentError(f"no action for {NAME}"), True),
    (NotFoundError("no playbook 'ask' here"), False),
)


@pytest.mark.parametrize(("error", "names"), ERRORS, ids=[type(one).__name__ for one, _ in ERRORS])
def test_errors_name_nobody_whom_their_page_would_not(made, monkeypatch, error, names):
    """What an action answered, or why it is refused, may name whom it is about."""

    def fails(*_, **__):
        raise error

    for name in ("plan", "approve", "plan_undo", "cancel"):
        monkeypatch.setattr(respond, name, fails)
    pages = (
        (f"/incident/{made.one}/plan", {"playbook": "ask"}),
        (f"/plan/{made.plan.removeprefix('sha256:')}", {"do": "approve", "digest": made.plan, "reason": "x"}),
        (f"/run/{made.ran}", {"do": "undo"}),
    )  # fmt: skip
    calls = (
        ("/plans", {"playbook": "ask", "incident": made.one}), (f"/plans/{made.plan}/approve", {"digest": made.plan, "reason": "x"}),
        (f"/runs/{made.ran}/undo", {}), (f"/runs/{made.ran}/cancel", {"reason": "x"}),
    )  # fmt: skip
    ana, pia = made.browser("ana"), made.browser("ria")
    ana.send("/purpose", purpose="")
    pia.send("/purpose", purpose="who came in at night")
    for path, form in pages:
        hidden, seen = ana.send(path, **form), pia.send(path, **form)
        assert hidden.status_code == seen.status_code >= 400
        assert NAME not in hidden.text
        assert ("person~" in hidden.text) is names
        assert (NAME in seen.text) is names
    for path, body in calls:
        hidden = ana.call("POST", path, body)
        assert hidden.status_code >= 400, hidden.text
        assert NAME not in hidden.text
        assert ("person~" in hidden.text) is names
        assert (NAME in ana.call("POST", path, body, **{"x-purpose": "who came in"}).text) is names


def test_errors_about_what_was_given_tell_no_guess_right(made, ana):
    """Else whoever sends a name is told by a pseudonym that it was one."""
    for name in (NAME, "wilhelmina.k"):
        page = ana.send(f"/incident/{made.one}/plan", playbook=name)
        assert name in page.text
        assert "person~" not in page.text.partition("<main")[2]
        answer = ana.call("POST", "/plans", {"playbook": "no", "incident": made.one, "inputs": {name: "x"}})
        assert "person~" not in answer.text


def test_the_journal_names_nobody_of_a_case_and_gives_no_hash_to_guess_by(made, ana):
    told = ana.get(f"{API}/journal", params={"limit": 500}).json()["items"]
    assert any(one["subject"] == made.case for one in told)
    assert not [one for one in told if NAME in str(one) or OTHER in str(one)]
    assert {(one["hash"], one["previous"]) for one in told} == {(None, None)}
    pia = made.browser("pia")
    shown = pia.get(f"{API}/journal", params={"limit": 500}, headers={"x-purpose": "who came in at night"})
    assert all(one["hash"] for one in shown.json()["items"])


def test_the_journal_does_not_tell_what_others_typed(made, ana):
    """A view that is kept, a search that is exported: who sees people may have named some."""
    pia = made.browser("pia")
    pia.send("/purpose", purpose="who came in at night")
    pia.send("/queue/views", name=f"of {NAME}", query=f"q={NAME}")
    assert pia.get("/search/export", params={"q": f"message:{NAME}"}).status_code == 200
    asked = {"kind": ["console.view", "access.exported"]}
    told = ana.get(f"{API}/journal", params=asked)
    assert len(told.json()["items"]) == 2
    assert NAME not in told.text
    seen = pia.get(f"{API}/journal", params=asked, headers={"x-purpose": "who asked for whom"})
    assert seen.text.count(f":{NAME}") + seen.text.count(f"q={NAME}") == 2
    pia.send("/purpose", purpose="")


def test_the_journal_names_nobody_before_anything_else_was_looked_at(made):
    """The API alone, just started: nobody has asked for an incident yet."""
    again = attacked(app.open_workspace(made.workspace.root))
    again.cookies = made.cookies
    text = again.browser("ana").get(f"{API}/journal", params={"limit": 500}).text
    again.end()
    assert NAME not in text
    assert OTHER not in text


def test_an_alert_tells_of_its_incident_without_names(made, ana):
    alert = f"al-{1:016x}"
    assert NAME not in ana.get(f"/alert/{alert}").text
    assert incidents.get(made.workspace, made.one).title
