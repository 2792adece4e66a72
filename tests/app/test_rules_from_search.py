"""A search becomes a rule that finds the same events."""

import uuid

import lived
import pytest
import yaml

from lemnis.app import query as asking
from lemnis.app import rules_from_search as drawing
from lemnis.app import trying
from lemnis.content.library import Library
from lemnis.contracts.errors import InputError
from lemnis.store.searching import pipes

NUMBER = uuid.UUID(int=7)
SINCE = "-14d"


@pytest.fixture
def soc(tmp_path, two_weeks):
    made = lived.workspace(tmp_path)
    (made.state / "lake").symlink_to(two_weeks.state / "lake")
    return made


@pytest.mark.parametrize(("query", "count"), [
    ("http_request.url.path:/admin", 58), ("http_request.url.path:/articles/1*", 11 * 14),
    ("src_endpoint.ip:192.0.2.0/24", 56), ("http_request.url.path:(/admin OR /articles/3)", 72),
    ("http_request.url.path:/admin NOT src_endpoint.ip:192.0.2.10", 2),
    ("http_request.url.path:/admin -src_endpoint.ip:(192.0.2.10 OR 192.0.2.11)", 2),
    ('"GET /articles/7"', 14), ("admin OR http_request.url.path:/articles/3", 72), ("http_request.url.path:/^.a.min$/", 58),
    ("src_endpoint.ip:198.51.100.* http_request.url.path:/admin*", 2), ("http_request.url.path:*", 338),
    ("http_response.code:>=200 http_request.url.path:/admin", 58), ("| where http_request.url.path:/articles/4", 14),
    ("(admin 198.51.100.23) OR (articles NOT src_endpoint.ip:203.0.113.?)", 2 + 11 * 14), ("http_request.url.path:/adm?n", 58),
])  # fmt: skip
def test_the_rule_finds_what_the_search_finds(soc, query, count):
    library = Library.open(soc.content)
    made = drawing.drawn(soc, library, query, since=SINCE, number=NUMBER)
    assert made.left == ()
    assert trying.tried(soc, library, made.text, days=1).sound
    found = drawing.proven(soc, library, query, made.text, since=SINCE)
    assert (found.same, found.both, found.whole) == (True, count, True), made.text


def test_a_rule_says_where_it_is_from_and_is_plain_sigma(soc):
    made = drawing.drawn(
        soc, Library.open(soc.content), "http_request.url.path:(/a OR /admin) http_request.http_method:GET door*",
        since=SINCE, number=NUMBER,
    )  # fmt: skip
    assert "nobody knows of which it is" in made.left[0]
    found = drawing.drawn(
        soc,
        Library.open(soc.content),
        'http_request.url.path:(/a OR /admin OR "/x*") GET',
        since=SINCE,
        number=NUMBER,
    )
    rule = yaml.safe_load(found.text)
    assert rule["id"] == str(NUMBER)
    assert rule["logsource"] == {"category": "webserver"} | rule["logsource"]
    assert rule["description"].startswith("Drawn from the search: http_request.url.path")
    assert rule["detection"] == {
        "selection": {"cs-uri-stem": ["/a", "/admin", "/x\\*"]}, "keywords": ["GET"], "condition": "selection and keywords",
    }  # fmt: skip


def test_what_no_rule_can_say_is_told_and_left_out(soc):
    library = Library.open(soc.content)
    made = drawing.drawn(
        soc, library, "http_request.url.path:/admin class:http* uid:* | stats count by src_endpoint.ip | head 3",
        since=SINCE, number=NUMBER,
    )  # fmt: skip
    assert [one.partition(":")[0] for one in made.left] == ["| stats", "| head", "class", "uid"]
    nothing = drawing.drawn(soc, library, "| stats count", since=SINCE, number=NUMBER)
    assert any("nothing in the search" in one for one in nothing.left)
    assert trying.check(library, nothing.text) is not None
    with pytest.raises(InputError) as told:
        drawing.drawn(soc, library, "http_request.url.path:(", since=SINCE, number=NUMBER)
    assert told.value.at.column


def test_a_difference_is_told(soc):
    library = Library.open(soc.content)
    narrow = drawing.drawn(soc, library, "src_endpoint.ip:198.51.100.23", since=SINCE, number=NUMBER)
    found = drawing.proven(soc, library, "http_request.url.path:/admin", narrow.text, since=SINCE)
    assert (found.same, found.both, len(found.search), found.rule) == (False, 2, 56, ())
    (hits,) = asking.search(soc, f"uid:{found.search[0]}", since=SINCE).found()
    assert len(hits) == 1


def test_values_are_written_as_sigma_has_them():
    (a, b, c) = pipes.parse(r'x:a\*b*?c\\d y:"q*\\r" z:50%_a*').filter.operands
    assert drawing.written_value(a) == r"a\*b*?c\\d"
    assert drawing.written_value(b) == r"q\*\\r"
    assert drawing.written_value(c) == "50%_a*"
