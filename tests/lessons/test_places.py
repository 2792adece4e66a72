"""Detections by where somebody came from, each run on an attack, on variants of it, and on what it must not say."""

import json

import pytest
import yaml

from lemnis.app.rules_test import test_rules as try_rules
from lemnis.content.library import Library
from lemnis.lessons.compile import sigma
from lemnis.lessons.places import from_countries, from_outside

WEB, GITHUB = {"category": "webserver"}, {"product": "github", "service": "audit"}


def failed(folder, candidate, source, cases):
    """Run a candidate on samples, raw and as OCSF; return what is not as it should be."""
    item = folder / "content" / "detections" / "lesson_x"
    item.mkdir(parents=True)
    (item / "rule.yml").write_text(
        sigma("2026-123456", candidate, title="A title", tags=[], description="It was seen.")
    )
    tests = [
        {
            "name": name,
            "source": source,
            "fires": fires,
            "records": "".join(f"{json.dumps(one)}\n" for one in records),
        }
        for name, fires, records in cases
    ]
    (item / "tests.yml").write_text(yaml.safe_dump(tests))
    [tested] = try_rules(Library.open(folder / "content"), ["lesson_x"])
    assert not tested.trouble
    return [one.case for one in tested.results if not one.passed]


def asked(client, path, status="200"):
    return {"c-ip": client, "cs-uri-stem": path, "sc-status": status}


def envoy(client, path, status=200):
    return {
        "start_time": "2026-03-02T18:00:00.100Z", "method": "GET", "path": path, "protocol": "HTTP/2",
        "response_code": status, "response_flags": "-", "authority": "a.example",
        "downstream_remote_address": f"{client}:50000", "downstream_local_address": "10.0.0.1:443", "upstream_host": "10.0.0.2:80",
    }  # fmt: skip


def test_paths_that_nobody_outside_asked_for(tmp_path):
    attack = [
        asked("198.51.100.7", "/api/v1/secret/prod"),
        asked("198.51.100.7", "/assets/main.js"),
        asked("198.51.100.7", "/"),
    ]
    other = [
        asked("203.0.113.9", "/api/v1/orders/7"), asked("203.0.113.9", "/assets/shop.js"),
        asked("10.0.4.7", "/api/v1/secret/prod"), asked("", "/api/v1/secret/prod"),
    ]  # fmt: skip
    [candidate] = from_outside(WEB, attack, other)
    assert candidate.name == "/api/v1/secret answered to the internet"
    cases = [
        ("the attack", True, [envoy("198.51.100.7", "/api/v1/secret/prod")]),
        (
            "a variant: elsewhere, another secret",
            True,
            [envoy("[2001:db8::9]", "/api/v1/secret/stage/db?x=1")],
        ),
        (
            "from the own networks",
            False,
            [envoy("10.0.4.7", "/api/v1/secret/prod"), envoy("192.168.1.1", "/api/v1/secret")],
        ),
        ("refused", False, [envoy("198.51.100.7", "/api/v1/secret/prod", 401)]),
        (
            "others' paths",
            False,
            [envoy("203.0.113.9", "/api/v1/orders/8"), envoy("203.0.113.9", "/api/v1/secrets")],
        ),
    ]
    assert failed(tmp_path, candidate, "envoy", cases) == []


def test_signs_of_sigma_in_a_path_stand_for_themselves(tmp_path):
    [candidate] = from_outside(WEB, [asked("198.51.100.7", "/a*b/x")], [])
    cases = [
        ("itself", True, [envoy("198.51.100.7", "/a*b")]),
        ("another", False, [envoy("198.51.100.7", "/aXb")]),
    ]
    assert failed(tmp_path, candidate, "envoy", cases) == []


@pytest.mark.parametrize(
    ("attack", "other"),
    [
        ([], []),
        ([asked("198.51.100.7", "/")], []),
        ([asked("198.51.100.7", "/a", "403")], []),
        ([asked("10.0.0.7", "/a")], []),
        ([asked("198.51.100.7", "/a/b")], [asked("203.0.113.9", "/a/b/c", "404")]),
        ([{"c-ip": None, "cs-uri-stem": None, "sc-status": None}], []),
    ],
)
def test_what_others_outside_ask_for_too_tells_nothing(attack, other):
    assert from_outside(WEB, attack, other) == []


def did(country, agent="git/2.43", action="git.push"):
    return {"action": action, "actor_location.country_code": country, "user_agent": agent}


def audit(country, agent="git/2.43", action="git.push", actor="tomasz"):
    return {
        "action": action, "@timestamp": 1762162800000, "actor": actor, "user_agent": agent, "repo": "shop-inc/shop",
        "actor_location": {"country_code": country},
    }  # fmt: skip


def test_work_from_elsewhere_and_with_something_else(tmp_path):
    attack = [did("BR", "python-requests/2.32"), did(None, None)]
    country, program = from_countries(GITHUB, attack, [did("DE"), did("FR", "Mozilla/5.0"), did("")])
    assert program.name == "work with python-requests"
    cases = [
        ("the attack", True, [audit("BR")]),
        (
            "a variant: another country, person, action",
            True,
            [audit("VN", action="repo.access", actor="eve")],
        ),
        ("from where others work", False, [audit("DE"), audit("FR", "python-requests/2.32")]),
        ("from nowhere", False, [audit(None), {**audit("DE"), "actor_location": None}]),
    ]
    assert failed(tmp_path / "country", country, "github_audit", cases) == []
    cases = [
        ("another version", True, [audit("DE", "python-requests/3.0")]),
        (
            "another program",
            False,
            [audit("BR", "git/3.0"), audit("BR", "python-requests-like/1"), audit("BR", None)],
        ),
    ]
    assert failed(tmp_path / "program", program, "github_audit", cases) == []


@pytest.mark.parametrize(
    ("attack", "other"),
    [([], []), ([did("BR")], []), ([did("DE")], [did("DE")]), ([did(None, "odd")], [did("DE")])],
)
def test_without_anything_usual_no_place_is_unusual(attack, other):
    assert [one.name for one in from_countries(GITHUB, attack, other) if "country" in one.name] == []
