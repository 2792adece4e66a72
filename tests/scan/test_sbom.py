"""Bills of materials: every real one in shared data, cycles, broken parts, bounds, and what we write ourselves."""

import io
import os
import tarfile
from collections import Counter
from pathlib import Path

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.errors import RecordError
from lemnis.scan import sbom, sbom_locks, sbom_write
from lemnis.scan.vex_statements import Status

DATA = Path(os.environ.get("LEMNIS_BENCH_DATA", Path(__file__).parents[3] / "shared/data")) / "devsecops"


def archive(name):
    path = DATA / name / f"{name}.tar.zst"
    if not path.is_file():
        pytest.skip(f"{name} is not in {DATA}")
    with zstandard.open(path) as stream:
        return {
            one.name: tar.extractfile(one).read()
            for tar in [tarfile.open(fileobj=io.BytesIO(stream.read()))]
            for one in tar
            if one.isfile()
        }


def read_all(name, wanted=lambda _: True):
    read, refused = {}, {}
    for file, data in archive(name).items():
        if wanted(file):
            try:
                read[file] = sbom.read(data, file)
            except RecordError as error:
                refused[file] = error.what
    return read, refused


def test_every_cyclonedx_example_is_read():
    read, refused = read_all("cyclonedx-bom-examples", lambda file: file.endswith((".json", ".xml")))
    assert (len(read), refused) == (49, {})
    assert sum(len(one.components) for one in read.values()) == 10094
    pairs = [(file, read[file.removesuffix("xml") + "json"]) for file in read if file.endswith(".xml")]
    assert len(pairs) == 8
    for file, other in pairs:
        assert {one.purl for one in read[file].components} == {one.purl for one in other.components}, file
        assert read[file].edges == other.edges


def test_spdx_examples_are_read_and_version_3_is_refused():
    read, refused = read_all("spdx-examples", lambda file: file.endswith((".json", ".spdx")))
    assert len(read) == 28
    assert set(refused.values()) == {"SPDX 3 is not read"}
    assert all(not one.errors for one in read.values())


def test_documents_of_a_graph_of_supply_chains():
    read, refused = read_all("guac-exampledata")
    assert Counter(one.format for one in read.values()) == {
        "CycloneDX 1.3": 1, "CycloneDX 1.4": 14, "CycloneDX 1.6": 2, "CycloneDX 1.7": 1, "SPDX 2.2": 8, "SPDX 2.3": 1,
    }  # fmt: skip
    nested, flat = (
        next(one for file, one in read.items() if file.endswith(f"components-{kind}.json"))
        for kind in ("nested", "flat")
    )
    assert sbom.chains(nested).keys() == sbom.chains(flat).keys()
    broken = next(one for file, one in read.items() if file.endswith("go-spdx-multi-arch_1.json"))
    assert (len(broken.components), [one.what for one in broken.errors]) == (2, ["a package without name"])
    assert all(words for words in refused.values())


def test_what_trivy_writes():
    read, refused = read_all(
        "trivy-golden", lambda file: "cyclonedx" in file or "spdx" in file or ".cdx." in file
    )
    assert (len(read), refused) == (7, {})
    npm = next(one for file, one in read.items() if "npm-cyclonedx" in file)
    assert len(sbom.chains(npm)) == 14


def cyclic():
    parts = [{"bom-ref": ref, "name": ref, "version": "1", "purl": f"pkg:npm/{ref}@1"} for ref in "abc"]
    needs = {"root": ["a"], "a": ["b"], "b": ["c", "a"], "c": ["a", "gone"]}
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": {"bom-ref": "root", "name": "app"}},
        "components": parts, "dependencies": [{"ref": ref, "dependsOn": to} for ref, to in needs.items()],
    }  # fmt: skip


def test_a_cycle_has_shortest_ways():
    read = sbom.read(orjson.dumps(cyclic()))
    assert sbom.chains(read)["c"] == ("root", "a", "b", "c")
    alone = sbom.Sbom("x", (), {"a": ("b",), "b": ("a",)})
    assert sbom.chains(alone) == {"a": ("a",), "b": ("a", "b")}


def test_a_long_chain_costs_no_more_than_its_end():
    edges = {str(n): (str(n + 1),) for n in range(50_000)}
    made = sbom.chains(sbom.Sbom("x", (), edges), {"49999"})
    assert (len(made["49999"]), made["49999"][-2:]) == (sbom.MAX_DEPTH, ("49998", "49999"))


def test_a_broken_component_leaves_the_others():
    document = cyclic()
    document["components"][1] = {"version": 3}
    read = sbom.read(orjson.dumps(document), "bom.json")
    assert [one.name for one in read.components] == ["a", "c"]
    assert [str(one) for one in read.errors] == ["bom.json#2: a component without a name"]


def test_components_within_each_other_are_bounded(monkeypatch):
    deep = '{"name":"x","components":[' * 150 + "]}" * 150
    read = sbom.read(f'{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{deep}]}}'.encode())
    assert len(read.components) == sbom.MAX_DEPTH
    monkeypatch.setattr("lemnis.scan.sbom_cyclonedx.MAX_COMPONENTS", 2)
    read = sbom.read(orjson.dumps(cyclic()), "bom.json")
    assert (len(read.components), str(read.errors[0])) == (
        2,
        "bom.json: more than 2 components, the rest is left out",
    )


def test_a_document_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(sbom, "MAX_BYTES", 10)
    with pytest.raises(RecordError, match="more than 10"):
        sbom.read(orjson.dumps(cyclic()))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"bomFormat": "CycloneDX", "specVersion": "9"}', "CycloneDX 9 is not read"),
        (b'{"spdxVersion": "SPDX-1.0"}', "SPDX-1.0 is not read"),
        (b"{", "x:1:2: no JSON"),
        (b"[]", "neither CycloneDX nor SPDX"),
        (b"<a>", "no XML: no element found"),
        (b"<a/>", "no CycloneDX"),
        (b'<!DOCTYPE b [<!ENTITY a "b">]><b>&a;</b>', "declares entities"),
        (b"", "neither CycloneDX nor SPDX"),
    ],
)
def test_what_is_no_bill_of_materials(data, words):
    with pytest.raises(RecordError) as caught:
        sbom.read(data, "x")
    assert words in str(caught.value)


def test_a_statement_about_a_bill_of_materials_is_opened():
    statement = {"_type": "https://in-toto.io/Statement/v1", "predicate": cyclic()}
    assert len(sbom.read(orjson.dumps(statement)).components) == 3


def test_analyses_are_statements():
    read, _ = read_all("guac-exampledata", lambda file: file.endswith("cyclonedx-unaffected-vex.json"))
    (said,) = next(iter(read.values())).statements
    assert (said.status, said.justification) == (Status.NOT_AFFECTED, "code_not_reachable")
    assert said.ids == ("CVE-2020-25649", "SNYK-JAVA-COMFASTERXMLJACKSONCORE-1048302")


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "ref", "dependsOn", "purl", "components", "affects", "id"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(
        ["components", "dependencies", "metadata", "vulnerabilities", "packages", "relationships"]
    ),
    json,
    st.sampled_from([{"bomFormat": "CycloneDX", "specVersion": "1.6"}, {"spdxVersion": "SPDX-2.3"}]),
)
def test_any_shape_is_read_or_refused(key, value, head):
    read = sbom.read(orjson.dumps({**head, key: value}))
    there = {one.ref for one in (*read.components, *([read.root] if read.root else []))}
    assert all(way and way[-1] == ref for ref, way in sbom.chains(read).items() if ref in there)


def written(*files):
    return sbom_write.write(
        sbom_write.joined("app", [sbom_locks.read(data, path) for path, data in files]), now=0, version="1"
    )


LOCK = b'{"packages": {"": {"dependencies": {"a": "1"}}, "node_modules/a": {"version": "1.0.0"}}}'


def test_what_is_written_is_valid_and_reads_back():
    document = written(("web/package-lock.json", LOCK), ("requirements.txt", b"django==4.2\ndjango==4.3\n"))
    read = sbom.read(orjson.dumps(document))
    assert [one.purl for one in read.components] == [
        "pkg:npm/a@1.0.0", "pkg:pypi/django@4.2", "pkg:pypi/django@4.3",
    ]  # fmt: skip
    assert set(sbom.chains(read)) == {
        "root", "web/package-lock.json#node_modules/a", "requirements.txt#django",
    }  # fmt: skip
    assert document == written(
        ("web/package-lock.json", LOCK), ("requirements.txt", b"django==4.2\ndjango==4.3\n")
    )
    schemas = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")

    assert (
        schemas.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(orjson.dumps(document).decode())
        is None
    )
