"""``lemnis incident review``: drafted from the journal, filled in, recorded, told, asked for."""

import pytest
import yaml
from worked import ask, at, clock, lines  # noqa: F401 - fixtures

from lemnis import app
from lemnis.app import incidents_review
from lemnis.lessons.review_form import SHOWN, Fact, draft

FILLED = {
    "went_well": ["the alert came in a minute"],
    "went_badly": ["nobody was on call"],
    "lucky": [],
    "contributing_causes": ["the login was open to all", "passwords | had no limit of tries"],
    "detection_gap": "logins from abroad were not looked at",
    "control_that_failed": "the limit of tries was off",
    "actions": [{"what": "switch the limit on", "owner": "ben", "due": "2023-12-01"}],
}


@pytest.fixture
def incident(ask):  # noqa: F811
    return lines(ask("incident", "list", "--json"))[0]["id"]


@pytest.fixture
def form(ask, incident, tmp_path):  # noqa: F811
    """Write the draft, filled in, with changes."""
    file = tmp_path / "review.yaml"

    def filling(**changes):
        draft = yaml.safe_load(ask("incident", "review", incident).out)
        file.write_text(yaml.safe_dump({**draft, **FILLED, **changes}, sort_keys=False))
        return str(file)

    return filling


def close(ask, incident, code=0, verdict="true_positive"):  # noqa: F811
    return ask("incident", "close", incident, "--verdict", verdict, "--reason", "done", code=code)


def test_a_draft_has_facts_only_in_their_order(ask, incident):  # noqa: F811
    ask("incident", "note", incident, "I think it was a cat")
    ask("incident", "acknowledge", incident)
    text = ask("incident", "review", incident).out
    draft = yaml.safe_load(text)
    times = [one["at"] for one in draft["timeline"]]
    assert times == sorted(times)
    assert any("alert" in one["what"] for one in draft["timeline"])
    assert any("status" in one["what"] for one in draft["timeline"])
    assert "cat" not in text
    assert draft["incident"] == incident
    assert draft["contributing_causes"] == draft["actions"] == []


def test_a_recorded_review_is_shown_exported_and_its_actions_are_tasks(at, ask, incident, form):  # noqa: F811
    said = ask("incident", "review", incident, "--from", form())
    assert "2 contributing causes, 1 action\n" in said.out
    ask("incident", "review", incident, "--from", form())
    [entry] = app.journal(at).entries(kind=incidents_review.REVIEW)
    assert (entry.subject, entry.actor) == (incident, "ana")
    shown = lines(ask("incident", "show", incident, "--json"))[0]
    assert shown["review"]["detection_gap"] == FILLED["detection_gap"]
    [task] = shown["tasks"]
    assert (task["title"], task["assignee"], task["due"]) == (
        "switch the limit on",
        "ben",
        "2023-12-01T23:59:59.999Z",
    )
    assert "the limit of tries was off" in ask("incident", "show", incident).out
    [whole] = lines(ask("incident", "export", incident))
    assert whole["review"] == shown["review"]
    report = ask("incident", "export", incident, "-f", "markdown").out
    assert (
        "### Contributing causes\n\n- the login was open to all\n- passwords \\| had no limit of tries\n"
        in report
    )
    assert any(item["kind"] == "review" for item in whole["timeline"])


def test_an_amended_review_counts_and_the_old_one_stays(at, ask, incident, form):  # noqa: F811
    first, second = form(), FILLED | {"lucky": ["it was at noon"]}
    ask("incident", "review", incident, "--from", first)
    ask("incident", "review", incident, "--from", form(**second))
    ask("incident", "review", incident, "--from", form())
    entries = list(app.journal(at).entries(kind=incidents_review.REVIEW))
    assert [one.payload["review"]["lucky"] for one in entries] == [[], ["it was at noon"], []]
    [told] = lines(ask("incident", "review", incident, "--json"))
    assert told["review"]["lucky"] == []
    assert yaml.safe_load(ask("incident", "review", incident).out)["lucky"] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contributing_causes": ["the root cause"]}, "contributing_causes"),
        ({"contributing_causes": ["The cause", "the cause"]}, "says the same twice"),
        ({"detection_gap": " "}, "detection_gap"),
        ({"control_that_failed": ""}, "control_that_failed"),
        ({"actions": []}, "actions"),
        ({"actions": [{"what": "x", "owner": "", "due": "2023-12-01"}]}, "actions.0.owner"),
        ({"actions": [{"what": "x", "owner": "ana", "due": "soon"}]}, "actions.0.due"),
        ({"timeline": [{"at": "noon", "what": "x"}]}, "timeline.0.at"),
        (
            {
                "timeline": [
                    {"at": "2023-12-02T00:00Z", "what": "b"},
                    {"at": "2023-12-01T00:00Z", "what": "a"},
                ]
            },
            "stands after",
        ),
        ({"root_cause": "x"}, "root_cause"),
        ({"incident": "in-other"}, "not of in-"),
    ],
)
def test_what_is_wrong_in_a_form_is_told_with_its_place(at, ask, incident, form, changes, words):  # noqa: F811, PLR0917
    said = ask("incident", "review", incident, "--from", form(**changes), code=2)
    assert words in said.err
    assert "review.yaml:" in said.err
    assert not list(app.journal(at).entries(kind=incidents_review.REVIEW))


def test_closing_a_true_positive_without_a_review_is_told(ask, incident):  # noqa: F811
    said = close(ask, incident)
    assert "has no review" in said.err
    assert "no review" not in said.out


def test_a_false_positive_needs_none(ask, incident):  # noqa: F811
    assert "review" not in close(ask, incident, verdict="false_positive").err


def test_where_it_is_required_closing_without_is_refused(at, ask, incident, form):  # noqa: F811
    settings = at.root / app.SETTINGS
    settings.write_text(settings.read_text() + "\nincidents: {review: require}\n")
    assert "incident review" in close(ask, incident, code=1).err
    assert lines(ask("incident", "show", incident, "--json"))[0]["status"] == "new"
    ask("incident", "review", incident, "--from", form())
    assert "no review" not in close(ask, incident).err


def test_a_draft_of_many_facts_says_how_many_it_leaves_out():
    facts = [Fact(at=f"2023-01-01T00:{n // 60:02}:{n % 60:02}Z", what=f"fact {n}") for n in range(100)]
    text = draft("in-1", "a\nb: [c", facts)
    assert f"{100 - SHOWN} facts between" in text
    assert len(yaml.safe_load(text)["timeline"]) == SHOWN


def test_a_file_is_not_overwritten(ask, incident, tmp_path):  # noqa: F811
    out = tmp_path / "draft.yaml"
    ask("incident", "review", incident, "--out", str(out))
    assert yaml.safe_load(out.read_text())["incident"] == incident
    assert "already" in ask("incident", "review", incident, "--out", str(out), code=2).err
