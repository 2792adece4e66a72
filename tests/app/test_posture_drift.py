"""Drift: what changed between two snapshots, what fails since, and what is not told."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis import app
from lemnis.app import posture_collect, posture_drift
from lemnis.app.graph_collect import Options
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock

NOW = 1_772_366_400_000
LIBRARY = Library.open()
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def pod(name, *, privileged=False, image="r.example/shop:1", **more):
    container = {"name": "web", "image": image, "securityContext": {"privileged": privileged}, **more}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "prod"},
        "spec": {"containers": [container]},
    }  # fmt: skip


@pytest.fixture
def soc(tmp_path):
    return app.init(tmp_path / "soc", clock=ManualClock(NOW))


def collect(soc, *items, scope="eu"):
    file = soc.root / "cluster.json"
    file.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}))
    assert not [p for one in posture_collect.collect(soc, [file], Options(scope=scope)) for p in one.problems]
    soc.clock.advance(60_000)


def drift(soc):
    ((before, after),) = posture_collect.every(soc).values()
    return posture_drift.between(soc, LIBRARY, before, after)


def test_what_came_went_and_changed_and_what_fails_since(soc):
    collect(soc, pod("a"), pod("b"), pod("c", env=[{"name": "KEY", "value": "hunter2"}]))
    collect(soc, pod("a", privileged=True), pod("c", env=[{"name": "KEY", "value": "hunter3"}]), pod("d"))
    found = drift(soc)
    by_name = {one.name: one for one in found.moved if one.kind == "kubernetes.container"}
    changed = by_name["prod/Pod/a/web"]
    assert (changed.how, changed.worse) == ("changed", ("kubernetes_privileged",))
    (one,) = changed.differences
    assert (one.path, one.before, one.after) == ("securityContext.privileged", "false", "true")
    assert "kubernetes_privileged" in one.checks
    assert found.moved[0].name.startswith("prod/Pod/a"), "what is worse comes first"
    assert by_name["prod/Pod/d/web"].how == "added"
    assert by_name["prod/Pod/b/web"].how == "gone"
    assert by_name["prod/Pod/b/web"].better, "what failed of it, fails no more"
    assert "hunter" not in repr(found.moved)
    assert not found.problems
    assert found.after.at > found.before.at


def test_the_same_again_is_no_drift(soc):
    collect(soc, pod("a"))
    collect(soc, pod("a", image="r.example/shop:1"), pod("x"))
    found = drift(soc)
    assert {(one.how, one.name) for one in found.moved if one.kind == "kubernetes.container"} == {
        ("added", "prod/Pod/x/web")
    }
    assert found.same > 0


def test_what_is_gone_from_the_vault_makes_it_incomplete(soc):
    collect(soc, pod("a"))
    collect(soc, pod("b"))
    ((before, _),) = posture_collect.every(soc).values()
    digest = before.files[0].digest
    (soc.state / "vault" / digest[7:9] / digest[9:]).unlink()
    assert drift(soc).problems


@given(PLAIN, PLAIN)
def test_there_are_differences_where_values_differ(old, new):
    found = list(posture_drift.differences(old, new))
    assert bool(found) == (
        orjson.dumps(old, option=orjson.OPT_SORT_KEYS) != orjson.dumps(new, option=orjson.OPT_SORT_KEYS)
    )
    assert len({way for way, _, _ in found}) == len(found)
