"""An incident as STIX 2.1: valid by the standard's own validator, and the same whenever it is told."""

from dataclasses import replace

import orjson
import pytest
import stix2
from hypothesis import given, settings
from hypothesis import strategies as st
from incident_made import GROUP, incident

from lemnis.contracts.alerts import Entity, EntityKind, IncidentStatus, Verdict
from lemnis.contracts.handling import Link
from lemnis.incidents import stix

SEEN = tuple(
    map(
        Entity.parse,
        [
            "address:192.0.2.1", "address:8.8.8.8", "address:2001:4860:4860::8888", "address:nonsense",
            "domain:evil.example", "domain:it's\\odd", "user:CORP\\eve", "principal:arn:aws:iam::1:role/x",
            "host:node-1", "process:node-1/7", "file:/tmp/x", "workload:shop/web",
            f"hash:{'a' * 64}", f"hash:sha1:{'b' * 40}", "hash:zz", "image:sha256:cafe",
        ],
    )
)  # fmt: skip


def told(**more):
    one = incident(status=IncidentStatus.IN_PROGRESS)
    return replace(one, groups=(replace(GROUP, entities=SEEN),), verdict=Verdict.UNKNOWN, **more)


def objects(bundle):
    return {
        one["type"]: [o for o in bundle["objects"] if o["type"] == one["type"]] for one in bundle["objects"]
    }


def valid(text):
    from stix2validator import ValidationOptions, validate_instance  # noqa: PLC0415 - it takes seconds

    found = validate_instance(orjson.loads(text), ValidationOptions(version="2.1"))
    return [str(error) for error in found.errors]


def test_a_bundle_is_valid_and_has_what_others_can_use():
    links = [
        Link(1, "ana", "https://git.example/pull/1", "pull_request", ""),
        Link(1, "ana", "mailto:a@b", "other", ""),
    ]
    text = stix.bundle(told(), made=10_000, name="soc", tlp="green", links=links)
    assert valid(text) == []
    found = objects(orjson.loads(text))
    assert {one["pattern"] for one in found["indicator"]} == {
        "[ipv4-addr:value = '8.8.8.8']",
        "[ipv6-addr:value = '2001:4860:4860::8888']",
        "[domain-name:value = 'evil.example']",
        f"[file:hashes.'SHA-256' = '{'a' * 64}']",
        f"[file:hashes.'SHA-1' = '{'b' * 40}']",
    }
    assert len(found["sighting"]) == 5
    assert found["observed-data"][0]["number_observed"] == 2
    assert {one["name"] for one in found["attack-pattern"]} == {"T1552.005", "T1059"}
    (report,) = found["report"]
    assert {one["source_name"] for one in report["external_references"]} == {"lemnis", "pull_request"}
    assert report["object_marking_refs"] == [stix2.TLP_GREEN.id]
    assert "host:node-1" in found["incident"][0]["description"]
    ids = {one["id"] for one in orjson.loads(text)["objects"]}
    assert set(report["object_refs"]) <= ids


def test_the_same_incident_gives_the_same_ids_and_a_harmless_one_no_indicators():
    first, second = stix.bundle(told(), made=10_000), stix.bundle(told(), made=10_000)
    assert first == second
    harmless = objects(
        orjson.loads(stix.bundle(replace(told(), verdict=Verdict.FALSE_POSITIVE), made=10_000))
    )
    assert "indicator" not in harmless
    assert "sighting" not in harmless


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EntityKind), st.text(max_size=40)), max_size=6))
def test_no_entity_makes_a_bundle_that_is_none(pairs):
    entities = tuple(Entity(kind, value) for kind, value in pairs)
    one = replace(told(), groups=(replace(GROUP, entities=entities),))
    text = stix.bundle(one, made=10_000)
    stix2.parse(text, version="2.1")
    assert orjson.loads(text)["type"] == "bundle"


@pytest.mark.parametrize(
    ("tlp", "marking"), [("clear", "white"), ("green", "green"), ("amber", "amber"), ("red", "red")]
)
def test_every_marking_is_the_standards(tlp, marking):
    found = objects(orjson.loads(stix.bundle(told(), made=10_000, tlp=tlp)))
    assert found["marking-definition"][0]["definition"] == {"tlp": marking}
