import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.lessons.derive import Candidate, Measured, best, from_processes, from_requests, measure

WEB = {"category": "webserver"}
PROCESSES = {"product": "linux", "category": "process_creation"}


def request(stem, query):
    return {"cs-uri-stem": stem, "cs-uri-query": query}


def process(parent, image):
    return {"ParentImage": parent, "Image": image}


def test_what_only_the_attack_carried_is_looked_for_raw_and_encoded():
    [candidate] = from_requests(
        WEB,
        attack=[request("/export", "name=a%3Bid&format=csv"), request("/export", "name=$(id)")],
        other=[request("/export", "name=my+report&format=csv"), request("/other", "q=a;b")],
    )
    assert candidate.detection["path"] == {"cs-uri-stem": "/export"}
    needles = candidate.detection["query"]["cs-uri-query|contains"]
    assert {"$", "%24", "(", "%28", ")", "%29", ";", "%3B"} <= set(needles)


def test_the_next_attack_may_use_another_character_that_shells_act_on():
    [candidate] = from_requests(WEB, [request("/x", "q=a%3Bid")], [request("/x", "q=hats+for+$1")])
    needles = set(candidate.detection["query"]["cs-uri-query|contains"])
    assert needles == {";", "%3B", "|", "%7C", "`", "%60", "%0A"}  # $ was seen in ordinary ones


def test_what_was_only_written_with_such_characters_is_not_looked_for():
    [candidate] = from_requests(WEB, [request("/x", "q=$(curl+http://a)")], [])
    needles = set(candidate.detection["query"]["cs-uri-query|contains"])
    assert {"$", "(", ")"} <= needles
    assert not {"/", ":", "%2F", "%3A", "%20", "&", "%26", "<"} & needles  # people write & and < as well
    [candidate] = from_requests(WEB, [request("/x", "q=../../etc")], [])
    assert candidate.detection["query"] == {"cs-uri-query|contains": ["/", "%2F"]}
    [candidate] = from_requests(WEB, [request("/x", "q=${jndi:ldap://a/b}")], [])
    needles = set(candidate.detection["query"]["cs-uri-query|contains"])
    assert needles == {"$", "%24", "{", "%7B", "}", "%7D"}  # no shell was meant


def test_no_candidate_where_the_attack_carried_nothing_of_its_own():
    assert from_requests(WEB, [request("/x", "q=a;b")], [request("/x", "q=c%3Bd")]) == []


def test_separators_are_looked_for_in_their_encoded_form_only():
    [candidate] = from_requests(WEB, [request("/x", "q=a%26b")], [request("/x", "q=;|`$(){}<>%0A")])
    assert candidate.detection["query"] == {"cs-uri-query|contains": ["%26"]}
    [candidate] = from_requests(WEB, [request("/x", "q=a%3Db%20c")], [])
    assert candidate.detection["query"] == {"cs-uri-query|contains": ["%20", "%3D"]}


NAMED = (
    "http://169.254.169.254/x",
    "http://2852039166/",
    "//0xA9FEA9FE/x",
    "http://[fd00:ec2::254]/",
    "10.0.0.1",
)
NOT_NAMED = (
    "https://cdn.example/20251124/p.jpg",
    "12345678",
    "1.2.3.4.5",
    "v1.2.3.40a",
    "[x]",
    "//cdn1234567890.example/",
)


@pytest.mark.parametrize("encoded", [False, True])
def test_a_host_that_only_the_attack_names_by_its_address_is_looked_for(encoded):
    def query(value):
        return "u=" + (quote(value, safe="") if encoded else value)

    for value in NAMED:
        others = [request("/x", query(one)) for one in (*NOT_NAMED, "https://a.example/?x=[xy]@//c;d")]
        [candidate] = from_requests(WEB, [request("/x", query(value))], others)
        assert set(candidate.detection["query"]) == {"cs-uri-query|re"}, value
        asked = [request("/x", query("http://10.9.9.9/"))]
        assert from_requests(WEB, [request("/x", query(value))], [*others, *asked]) == []


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=8))
def test_a_derived_needle_is_in_the_query_it_came_from(value):
    query = "q=" + quote(value, safe="")
    for candidate in from_requests(WEB, [request("/x", query)], []):
        if "cs-uri-query|re" in candidate.detection["query"]:
            assert re.search(candidate.detection["query"]["cs-uri-query|re"], query)
            continue
        needles = [needle.lower() for needle in candidate.detection["query"]["cs-uri-query|contains"]]
        assert any(needle in query.lower() for needle in needles)


def test_pairs_never_seen_otherwise_are_kept_by_parent():
    candidates = from_processes(
        PROCESSES,
        attack=[
            process("/bin/sh", "/usr/bin/id"),
            process("/bin/sh", "/usr/bin/curl"),
            process("/a/py", "/bin/sh"),
        ],
        other=[
            process("/a/py", "/bin/sh"),
            process("/usr/bin/sh", "/usr/bin/curl"),
            process(None, "/usr/bin/id"),
        ],
    )
    assert [c.detection for c in candidates] == [
        {
            "parent": {"ParentImage|endswith": "/sh"},
            "child": {"Image|endswith": ["/id"]},
            "condition": "parent and child",
        }
    ]


def test_the_cheapest_then_the_earliest_is_best():
    def made(name, inside, other, first):
        return Measured(Candidate(name, {}, {}, ""), inside, other, first)

    noisy, late, early, blind = (
        made("noisy", ("a",), ("x",), 1), made("late", ("a",), (), 9), made("early", ("a",), (), 5), made("blind", (), (), 0)
    )  # fmt: skip
    assert best([noisy, late, early, blind]) is early
    assert best([blind]) is None


def test_measuring_splits_the_hits():
    measured = measure(Candidate("c", {}, {}, ""), frozenset({"a", "b"}), lambda _: {"b": 7, "a": 9, "z": 1})
    assert (measured.attack_hits, measured.other_hits, measured.first) == (("a", "b"), ("z",), 7)
