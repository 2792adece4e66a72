import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joining import FAST, START, joined

from lemnis import app
from lemnis.app.access.masking import WITHHELD, Labels, Masker, entities_in
from lemnis.app.access.personal import Personal, labels
from lemnis.app.access.service import Access
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import AccessError, InputError, UsageError

MASKER = Masker(
    {"okta": Labels(frozenset({"actor.user.name", "resources.owner.name"}), frozenset({"actor.alternateId"})),
     "plain": Labels()},
    lambda value: f"~{len(value)}",
)  # fmt: skip


def event(**more):
    return {"metadata": {"log_name": "okta", "uid": "ev-1"}, "time": 1, **more}


def test_what_is_labelled_goes_wherever_it_stands():
    shown = MASKER.event(event(
        actor={"user": {"name": "alice.b", "uid": "u1"}}, message="Login of ALICE.B failed", raw_data='{"who":"alice.b"}',
        unmapped={"actor": {"alternateId": "alice@corp.example"}, "note": "alice@corp.example, again"},
        resources=[{"owner": {"name": "bob"}}, {"owner": {"name": "carol"}}], url="/home/alice.bc",
    ))  # fmt: skip
    assert shown["actor"]["user"] == {"name": "~7", "uid": "u1"}
    assert shown["message"] == "Login of ~7 failed"
    assert shown["raw_data"] == WITHHELD
    assert shown["unmapped"] == {"actor": {"alternateId": "~18"}, "note": "~18, again"}
    assert [one["owner"]["name"] for one in shown["resources"]] == ["~3", "~5"]
    assert shown["url"] == "/home/alice.bc", "another word"
    assert shown["metadata"]["uid"] == "ev-1"


_WORDS = st.sampled_from(["alice.b", "bob", "carol came", "alice.b and bob", "x", ""])


@given(
    parts=st.fixed_dictionaries(
        {},
        optional={
            "actor": st.builds(lambda name: {"user": {"name": name}}, _WORDS),
            "resources": st.lists(st.builds(lambda name: {"owner": {"name": name}}, _WORDS), max_size=2),
            "message": _WORDS,
            "raw_data": _WORDS,
            "unmapped": st.builds(lambda name: {"actor": {"alternateId": name}}, _WORDS),
            "severity_id": st.integers(0, 6),
        },
    ),
    source=st.sampled_from(["okta", "plain", "other"]),
)
def test_a_part_of_an_event_is_shown_as_the_whole_shows_it(parts, source):
    one = {"metadata": {"log_name": source}, "time": 1, **parts}
    names = ("message", "raw_data", "unmapped", "severity_id")
    whole = MASKER.event(one)
    assert MASKER.some(one, names) == {name: whole[name] for name in (*names, "metadata") if name in whole}


def test_unmapped_as_text_is_read():
    shown = MASKER.event(event(unmapped='{"actor":{"alternateId":"zed@x.example"}}', message="zed@x.example"))
    assert "zed" not in str(shown)


def test_what_fired_a_finding_of_ours_is_shown_as_the_event_itself_is():
    """Nobody in it need be among what the finding is about: it is masked by the labels of its own source."""
    fired = event(
        actor={"user": {"name": 'alice "al" b', "uid": "u1"}},
        raw_data_hash="sha256:1",
        unmapped=orjson.dumps({"actor": {"alternateId": "a\nl\u00e9x"}, "more": ["a\nl\u00e9x"]}).decode(),
    )
    finding = {
        "metadata": {"log_name": "lemnis"},
        "desc": 'alice "al" b came',
        "evidences": [{"uid": "ev-1", "data": orjson.dumps(fired).decode()}, {"data": "{"}, {"uid": "x"}, 1],
    }
    shown = MASKER.event(finding)
    assert shown["desc"] == "~12 came"
    inner = orjson.loads(shown["evidences"][0]["data"])
    assert inner["actor"]["user"] == {"name": "~12", "uid": "u1"}
    assert inner["raw_data_hash"] == WITHHELD
    assert orjson.loads(inner["unmapped"]) == {"actor": {"alternateId": "~5"}, "more": ["~5"]}
    assert shown["evidences"][1:] == [{"data": "{"}, {"uid": "x"}, 1]


def test_names_are_found_in_json_however_they_are_escaped():
    name = 'a"b\\c\u00e9'
    inside = orjson.dumps({"who": name, "n": 1}).decode()
    for text in (inside, json.dumps({"who": name}), orjson.dumps({"of": inside}).decode(), f" {inside}"):
        shown = MASKER.document({"a": text}, {name})["a"]
        assert "~6" in shown, text
        assert "b" not in shown, text
    deep = '{"a":' * 900 + '"\\n"' + "}" * 900
    assert MASKER.document({"a": deep}, {name}) == {"a": WITHHELD}
    assert MASKER.document({"a": "{\\ b"}, {name}) == {"a": "{\\ b"}


def test_a_source_without_labels_shows_all_and_one_that_is_not_known_shows_no_people():
    open_ = {"metadata": {"log_name": "plain"}, "user": {"name": "alice"}, "raw_data": "alice"}
    assert MASKER.event(open_) == open_
    strange = MASKER.event(open_ | {"metadata": {"log_name": "strange"}})
    assert "alice" not in str(strange)


def test_entities_of_people_are_found_anywhere():
    document = {
        "groups": [{"entities": ["user:CORP\\alice", "host:web-1"]}],
        "e": {"kind": "person", "value": "bob@x"},
    }
    values = MASKER.of_entities(entities_in(document))
    assert values == {"CORP\\alice", "alice", "bob@x", "bob"}
    shown = MASKER.document(document | {"title": "alice did it"}, values)
    assert "alice" not in str(shown)
    assert "host:web-1" in shown["groups"][0]["entities"]


@pytest.mark.parametrize(("name", "personal"), [
    ("user.name", True), ("name", True), ("actor", True), ("actor.user", True), ("alternateId", True),
    ("actor.alternateId", True), ("*", True), ("raw_data", True), ("message", True), ("unmapped", True),
    ("resources[0].owner.name", True), ("time", False), ("src_endpoint.ip", False), ("file.path", False), ("id", False),
])  # fmt: skip
def test_fields_of_queries(name, personal):
    assert MASKER.names(name) is personal


TEXTS = st.recursive(
    st.one_of(st.text(), st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)), max_leaves=12,
)  # fmt: skip


@given(TEXTS, st.text(min_size=1), TEXTS)
def test_a_labelled_value_is_never_shown_at_its_place(rest, value, more):
    shown = MASKER.event(event(actor={"user": {"name": value, "more": more}}, unmapped=rest, other=rest))
    assert shown["actor"]["user"]["name"] == f"~{len(value)}"


def test_labels_of_what_ships():
    found = labels(Library.open())
    assert "actor.user.name" in found["mysql_audit"].paths
    assert "account.user" in found["mysql_audit"].raw
    assert not any("[" in path for one in found.values() for path in one.paths)


@pytest.fixture
def personal(tmp_path):
    return Personal(Access(app.init(tmp_path / "soc", clock=ManualClock(START)), passwords=FAST))


def test_a_purpose_shows_and_is_written_down(personal):
    access = personal._access
    ana = joined(access, "ana", "analyst").person
    assert personal.seen_by(ana, "", what="x") is not None
    assert personal.seen_by(ana, "incident in-1: whose account", what="/incidents/in-1", about="in-1") is None
    (entry,) = access.journal.entries(kind="access.personal_read")
    assert (entry.actor, entry.subject, entry.reason) == ("ana", "in-1", "incident in-1: whose account")
    with pytest.raises(UsageError):
        personal.seen_by(ana, "because", what="x")
    with pytest.raises(AccessError):
        personal.seen_by(joined(access, "vera", "viewer").person, "I want to know", what="x")


@pytest.mark.parametrize("query", [
    "* | stats count by user.name", "* | top user.name", "* | eval x = user.name | table x", "user.name:a*",
    '* | where actor.user.name = "a"', "* | table message", "* | sort user.name", "* | dedup user.name",
    "* | fields actor", "* | timechart count by user.name",
])  # fmt: skip
def test_queries_that_would_tell(personal, query):
    with pytest.raises((AccessError, InputError)) as refused:
        personal.demand_plain(query)
    assert isinstance(refused.value, AccessError), refused.value


@pytest.mark.parametrize(
    "query", ["", "curl", "source:okta severity:high", "* | stats count by src_endpoint.ip"]
)
def test_queries_that_do_not(personal, query):
    assert personal.demand_plain(query) is None  # it raises for those that would


def test_pseudonyms_are_of_this_workspace_and_stay(personal, tmp_path):
    other = Personal(Access(app.init(tmp_path / "other", clock=ManualClock(START)), passwords=FAST))
    mine = personal.masker.pseudonym("Alice")
    assert mine == personal.masker.pseudonym("alice") != other.masker.pseudonym("alice")


def test_an_account_called_user_does_not_take_the_word_out_of_every_sentence():
    hide = MASKER.hiding(MASKER.of_entities(["user:user", "user:admin"]))
    assert (
        hide("SSH login refused for a user that does not exist")
        == "SSH login refused for a user that does not exist"
    )
    assert hide("a user, admin") == "a user, ~5"
    assert hide("user") == "~4"
