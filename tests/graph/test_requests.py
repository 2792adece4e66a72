import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.provenance import Strength
from lemnis.graph.process_tree import Started
from lemnis.graph.requests import Request, behind, caused, values

SHELL = Started("ev-sh", "h", 20, 10, 10_000, "sh", "/bin/sh -c render --to x;  id")
ID = Started("ev-id", "h", 30, 20, 10_050, "id", "id")
CHAIN = [ID, SHELL]


def request(uid, query, at=9_900, path="/label", host=""):
    return Request(uid, host, at, "198.51.100.7", path, query)


def test_the_request_whose_text_was_run_is_found_among_many():
    found = behind(
        CHAIN,
        [
            request("near", "to=warehouse", 9_999),
            request("word", "to=render", 9_990),
            request("attack", "n=1&to=" + quote_plus("x; id")),
            request("other", "to=" + quote_plus("x; whoami")),
        ],
    )
    assert [(one.request.uid, one.text, one.method, one.strength) for one in found] == [
        ("attack", "x; id", "injected_text", Strength.OBSERVED),
        ("word", "render", "same_word", Strength.LABEL),
    ]
    assert found[0].process is SHELL


def test_quotes_do_not_hide_the_text():
    told = Started("ev", "h", 20, 10, 10_000, "sh", """sh -c 'echo x; say '"'"'hi there'"'"' "$HOME"'""")
    [found] = behind([told], [request("q", "to=" + quote("x; say 'hi there'"))])
    assert (found.text, found.injected) == ("x; say 'hi there'", True)


def test_which_processes_requests_caused():
    asked = [request("a", "to=x%3B%20id"), request("b", "to=render")]
    assert caused([*CHAIN, SHELL], asked) == {"ev-sh": "a"}


def test_of_the_same_text_the_nearest_in_time():
    late, early = request("b", "to=x%3B%20id", 9_000), request("a", "to=x%3B%20id", 1_000)
    assert [one.request.uid for one in behind(CHAIN, [early, late])] == ["b", "a"]


def test_text_in_the_path_counts_and_words_in_it_do_not():
    assert behind(CHAIN, [request("p", "", path="/label/x%3B%20id")])[0].text == "x; id"
    assert behind(CHAIN, [request("p", "", path="/render")])[0].text == ""


def test_without_text_what_came_before_is_a_hint():
    found = behind(
        CHAIN, [request("after", "", 10_001), request("far", "", -90_000), request("near", "", 9_000)]
    )
    assert [(one.request.uid, one.method, one.strength) for one in found] == [
        ("near", "time", Strength.NAME_MATCH)
    ]


@pytest.mark.parametrize(
    "other", [request("h", "to=x%3B%20id", host="other"), request("late", "to=x%3B%20id", 999_000)]
)
def test_another_host_or_time_is_not_behind_it(other):
    assert behind(CHAIN, [other]) == []
    assert behind([], [other]) == []


@given(st.text(st.characters(codec="utf-8", exclude_characters="+"), min_size=1))
def test_values_are_decoded(text):
    assert values(f"a=1&b={quote(text, safe='')}")[0] in (text, "1")
    assert text in values(f"b={quote_plus(text)}&a=1")


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20), st.sampled_from(";|&$(`<")
)
def test_whatever_was_injected_is_found_however_the_command_is_quoted(text, mark):
    text = f"abc{mark}{text}xyz"
    told = Started("ev", "h", 20, 10, 10_000, "sh", shlex.join(["/bin/sh", "-c", f"echo {text} | fold"]))
    [found] = behind([told], [request("q", "n=1&to=" + quote(text, safe=""))])
    assert found.injected
    assert found.text == " ".join(text.split())


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_any_request_and_command_can_be_compared(path, query, command):
    told = Started("ev", "h", 20, 10, 10_000, "sh", command)
    for one in behind([told], [request("q", query, path=path)]):
        assert one.strength > Strength.BROKEN
