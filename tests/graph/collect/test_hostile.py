"""Whatever stands in a file, no collector falls over it, and what it says can be kept."""

from contextlib import suppress

import orjson
import pytest
from collected_samples import CONFIG, IAM, PLAN, ROWS, STATE
from hypothesis import given
from hypothesis import strategies as st
from inventories import cluster, spoilt

from lemnis.app.graph_collect import Told, decoded
from lemnis.contracts.errors import ContentError, InputError
from lemnis.graph.collect import cloud, deployments, kubernetes, terraform


@pytest.mark.parametrize(
    ("document", "collect"),
    [
        (cluster(bad=True), kubernetes.collect), (STATE, terraform.collect), (PLAN, terraform.collect),
        (IAM, cloud.collect), (CONFIG, cloud.collect),
        (ROWS, lambda rows: deployments.collect(enumerate(rows, 1))),
    ],
    ids=["kubernetes", "state", "plan", "iam", "config", "deployments"],
)  # fmt: skip
@given(st.data())
def test_junk_anywhere_is_survived(document, collect, data):
    found = collect(spoilt(document, data))
    for edge in found.edges:
        assert edge.source.value
        assert edge.target.value
        assert edge.evidence["position"]
        orjson.dumps(dict(edge.evidence))
    for node in found.nodes:
        orjson.dumps(dict(node.properties))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_but_those_of_a_format_are_read(data):
    for name in ("x.json", "x.yaml"):
        with suppress(InputError):
            assert isinstance(decoded(data, name), Told)


def test_a_document_that_is_too_deep_is_refused_and_one_that_names_itself_too():
    with pytest.raises(InputError):
        decoded(b'{"a":' * 5_000, "deep.json")
    with pytest.raises(InputError):
        decoded(b"a: &a [*a, *a]\n", "ring.yaml")


def test_yaml_is_taken_as_json_has_it():
    text = b"apiVersion: v1\nkind: Pod\nmetadata: {name: p, 7: x, at: 2026-01-01, raw: !!binary aGk=}\n"
    assert decoded(text, "p.yaml").document["metadata"]["7"] == "x"
    assert isinstance(kubernetes.collect(decoded(text, "p").document).read, int)


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}-web\n",
        "{{- if .Values.on }}\napiVersion: v1\n{{- end }}\n",
        "apiVersion: v1\nspec:\n  image: {{ .Values.image }}\n",
    ],
)
def test_a_template_is_told_from_broken_yaml(text):
    with pytest.raises(ContentError, match="Helm") as caught:
        decoded(text.encode(), "templates/pod.yaml")
    assert "helm template" in caught.value.fix
    assert caught.value.at.file == "templates/pod.yaml"


def test_broken_yaml_is_no_template():
    with pytest.raises(ContentError, match="not YAML"):
        decoded(b"apiVersion: v1\n a: {b\n", "pod.yaml")
