"""A hidden person is not confirmed: by no filter, order, count, completion, error, title, address or file name."""

import hashlib
import re

import marked
import pytest
from besieged import API, Page, attacked, crawl

from lemnis import app
from lemnis.app.access.masking import Masker
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.interfaces.web import queue

NAME, OTHER = "magdalena.k", "someone.else"
PEOPLE = """\
- id: id-{name}
  name: {name}
  uids: [uid-{name}]
  full_name: Magdalena Kowalska
  email: {name}@shop.example
  department: treasury
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    soc = app.init(tmp_path_factory.mktemp("masking") / "soc", clock=ManualClock(marked.START + 3_600_000))
    (soc.content / "identities").mkdir()
    (soc.content / "identities/people.yaml").write_text(PEOPLE.format(name=NAME))
    for number, (title, name) in enumerate(
        ((f"A shell of {NAME}", NAME), ("B door", OTHER), ("Z door", OTHER)), 1
    ):
        event = {"class_uid": 3002, "time": marked.START, "message": f"{name} came", "user": {"name": name},
                 "metadata": {"log_name": "okta"}, "raw_data": name}  # fmt: skip
        entities = (Entity(EntityKind.USER, name), Entity(EntityKind.HOST, f"web-{number}"))
        marked.incident(
            soc,
            marked.alert(
                number, title=title, entities=entities, event=event, severity=Severity.HIGH, matched=()
            ),
        )
    made = attacked(soc)
    made.join("ana", "analyst", "responder", "detection_engineer", "developer")
    made.join("pia", "privacy_officer", "analyst")
    yield made
    made.end()


@pytest.fixture(scope="module")
def pages(made):
    """What somebody sees who sees no personal data, on every page that links lead to."""
    return crawl(made.browser("ana"), each=3)


def test_no_page_that_links_lead_to_names_anybody(pages):
    assert {
        path
        for path, answer in pages.items()
        if NAME in answer.text.lower() or "kowalska" in answer.text.lower()
    } == set()
    assert not [path for path in pages if NAME in path]
    assert any("person~" in answer.text for answer in pages.values())


def test_nor_does_what_comes_with_them(pages):
    """Headers, titles, addresses of links, names of what is saved."""
    for path, answer in pages.items():
        assert NAME not in str(answer.headers).lower(), path
        if answer.headers.get("content-type", "").startswith("text/html"):
            assert not [one for _, _, one in Page(answer).addresses if NAME in one.lower()], path


def lines(answer):
    return answer.text.count("data-row=")


def test_filters_of_the_queue_confirm_no_name(made):
    """A filter finds as much by the right name as by one that nobody has."""
    ana = made.browser("ana")
    for given in (NAME, NAME[:4], f"user:{NAME}", NAME.upper(), f"shell {NAME}"):
        wrong = given.lower().replace("magdalena", "wilhelmin").replace("magd", "wilh")
        for show in ("open", "closed", "mine"):
            one, other = (ana.get("/queue", params={"q": q, "show": show}) for q in (given, wrong))
            assert lines(one) == lines(other) == 0, given
    assert lines(ana.get("/queue", params={"q": "shell"})) == 1, "what is no name is found"
    assert lines(ana.get("/queue", params={"q": "web-1"})) == 1
    pia = made.browser("pia")
    assert pia.send("/purpose", purpose="who came in at night").status_code == 303
    assert lines(pia.get("/queue", params={"q": NAME})) == 1, "and who says what for finds people"


def test_the_order_of_the_queue_confirms_no_name():
    """What stands for a person in a title is the same for all: where it comes in the order says nothing."""

    titles = {
        queue.plain(f"{name} opened a shell", [Entity(EntityKind.USER, name)])
        for name in (NAME, OTHER, "aaa.b", "SHOP\\zz.top", "zoe@shop.example")
    }
    assert len(titles) == 1
    assert queue.plain("web-1 opened", [Entity(EntityKind.HOST, "web-1")]) == "web-1 opened"


def test_a_page_of_a_person_is_found_by_what_stands_for_them_alone(made):
    ana, pia = made.browser("ana"), made.browser("pia")
    refused = [ana.get("/entity", params={"name": f"user:{name}"}) for name in (NAME, "nobody.at.all")]
    assert {answer.status_code for answer in refused} == {403}
    without = {answer.text.replace(NAME, "N").replace("nobody.at.all", "N") for answer in refused}
    assert len(without) == 1, "the same is said of one that there is and one that there is not"
    address = next(one for _, _, one in Page(ana.get("/queue")).addresses if "person~" in one)
    shown = ana.get(address)
    assert shown.status_code == 200
    assert "treasury" in shown.text or "incident" in shown.text
    for hidden in (NAME, "kowalska", f"uid-{NAME}"):
        assert hidden not in shown.text.lower(), hidden
    pia.send("/purpose", purpose="who came in at night")
    assert pia.get("/entity", params={"name": f"user:{NAME}"}).status_code == 200
    pia.send("/purpose", purpose="")


QUERIES = (
    "user.name:{0}", "user.*:{0}", "message:{0}", '"{0}"', "NOT {0}", "desc:*{0}*", "observables.value:{0}",
    "finding_info_list.title:*{0}*", "* | eval x = user.name | top x", "source:lemnis {0}",
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_a_search_confirms_no_name(spoilt, query):
    """By results, bars, values of fields, completion, or errors: alike for a name that is there and one that is not.

    The people of Okta's samples stand in the lake: `noor@shop.example` is there, `wilma@shop.example` is not.
    """
    spoilt_ana = spoilt.browser("ana")
    spoilt_ana.send("/purpose", purpose="")
    there, not_there = "noor@shop.example", "wilm@shop.example"
    for path, more in (("/search", {}), ("/search/more", {}), ("/search/bars", {}), ("/search/fields", {"field": "severity_id"}),
                       (f"{API}/events", {}), (f"{API}/events/histogram", {})):  # fmt: skip
        one, other = (
            spoilt_ana.get(
                path,
                params={
                    "q": query.format(name),
                    "query": query.format(name),
                    "span": "all",
                    "since": "",
                    **more,
                },
            )
            for name in (there, not_there)
        )
        told = [answer.text.replace(name, "N") for answer, name in ((one, there), (other, not_there))]
        told = [
            part.replace(name.replace("@", "%40"), "N")
            for part, name in zip(told, (there, not_there), strict=True)
        ]
        told = [
            part.replace(name.partition("@")[0], "N")
            for part, name in zip(told, (there, not_there), strict=True)
        ]
        assert one.status_code == other.status_code, path
        assert _bare(told[0]) == _bare(told[1]), (path, query)


def _bare(text):

    return re.sub(r'(name="csrf" value="[^"]+"|"?took[^,]+,|person~[0-9a-f]+|"time_ms":\d+)', "", text)


def test_completion_offers_no_names(spoilt):
    ana = spoilt.browser("ana")
    ana.send("/purpose", purpose="")
    for text in (
        "user.name:",
        "user.name:no",
        "actor.user.name:n",
        "user.email_addr:",
        "message:no",
        "raw_data:",
        "unmapped:",
        "no",
    ):
        told = ana.get("/search/complete", params={"q": text}).text.lower()
        assert "noor" not in told, text


def test_the_api_confirms_no_name(made):
    ana = made.browser("ana")
    one, other = (
        ana.get(f"{API}/incidents", params={"entity": f"user:{name}", "state": "all"})
        for name in (NAME, "wilma.k")
    )
    assert one.status_code == other.status_code == 422
    for path in ("/incidents?state=all", "/incidents/in-0000000000000001", "/incidents/in-0000000000000001/timeline",
                 "/incidents/in-0000000000000001/alerts", "/alerts", "/alerts/al-0000000000000001", "/journal?limit=500"):  # fmt: skip
        answer = ana.get(f"{API}{path}")
        assert answer.status_code == 200, path
        assert NAME not in answer.text.lower(), path
        assert NAME not in str(answer.headers).lower(), path


def test_the_journal_does_not_tell_whom_others_looked_at(made):
    """Who saw personal data is written down with what they asked for: an entity, a search, by name."""
    ana, pia = made.browser("ana"), made.browser("pia")
    pia.send("/purpose", purpose="who came in at night")
    assert pia.get("/entity", params={"name": f"user:{NAME}"}).status_code == 200
    assert pia.get("/search", params={"q": f"message:{NAME}"}).status_code == 200
    assert pia.get("/incident/in-0000000000000001").status_code == 200
    pia.send("/purpose", purpose="")
    asked = {"kind": "access.personal_read", "limit": 500}
    told = ana.get(f"{API}/journal", params=asked).json()["items"]
    assert {"(withheld: personal data)", "in-0000000000000001"} <= {one["subject"] for one in told}
    assert NAME not in str(told)
    for subject in (f"user:{NAME}", f"message:{NAME}"):
        for limit in (1, 500):
            found = ana.get(f"{API}/journal", params={"subject": subject, "limit": limit}).json()
            assert found == {"items": [], "next": None}, subject
    with_purpose = {"x-purpose": "who looked at whom"}
    told = pia.get(f"{API}/journal", params=asked, headers=with_purpose).json()["items"]
    assert {f"user:{NAME}", f"message:{NAME}"} <= {one["subject"] for one in told}


def test_a_tag_is_of_what_is_shown_and_not_of_what_is_hidden(made):
    """Else a name could be guessed against the tag: it is made of the masked text alone."""

    answer = made.browser("ana").get(f"{API}/incidents")
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()[:20]}"'


def test_many_people_hide_as_well_as_few():
    """Somebody who floods an incident with names does not push others out of hiding."""

    masker = Masker({}, lambda value: f"person~{len(value)}")
    crowd = {f"user:a-very-long-name-of-somebody-{n:05}" for n in range(5_000)} | {f"user:{NAME}"}
    hide = masker.hiding(masker.of_entities(crowd))
    assert NAME not in hide(f"and {NAME} came")
    assert "00042" not in hide("a-very-long-name-of-somebody-00042 came")


def test_pseudonyms_cannot_be_worked_out_from_names(made):
    """They hang on a key of the workspace: the same name is another pseudonym elsewhere."""

    text = made.browser("ana").get("/queue").text
    assert hashlib.sha256(NAME.encode()).hexdigest()[:10] not in text
