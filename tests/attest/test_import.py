"""What others attested: every form, bounded, kept whatever it is worth, and what of it is not read."""

import base64
import io
import json
import tarfile
from pathlib import Path

import orjson
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from lemnis import app
from lemnis.app import attest, attest_import, gates
from lemnis.app.attest_import import Brought, Refused
from lemnis.contracts.errors import InputError, Location, NotFoundError
from lemnis.graph import attestation, builds, envelopes, predicates
from lemnis.graph.attestation import write_public
from lemnis.interfaces.cli import run

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
IMAGE = "sha256:" + "ab" * 32
COMMIT = "4d" * 20
SHARED = Path(__file__).parents[2] / "../shared/data/devsecops"
V01, V1 = "https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"
GITHUB = {
    "buildDefinition": {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {
            "workflow": {
                "ref": "refs/heads/main", "repository": "https://github.com/org/shop",
                "path": ".github/workflows/build.yml",
            },
        },
        "internalParameters": {"github": {"event_name": "push"}},
        "resolvedDependencies": [
            {"uri": "git+https://github.com/org/shop@refs/heads/main", "digest": {"gitCommit": COMMIT}},
        ],
    },
    "runDetails": {"builder": {"id": "https://b.example"}, "metadata": {"invocationId": "7"}},
}  # fmt: skip
V02 = {
    "builder": {"id": "https://b.example"},
    "buildType": "https://b.example/go@v1",
    "invocation": {"configSource": {
        "uri": "git+https://github.com/org/shop@refs/tags/v1", "digest": {"sha1": COMMIT},
        "entryPoint": "build.yml",
    }},
    "materials": [{"uri": "git+https://github.com/org/shop@refs/tags/v1", "digest": {"sha1": COMMIT}}],
    "metadata": {"buildInvocationId": "7", "completeness": {"parameters": True}},
}  # fmt: skip


def statement(kind, predicate, *, form=V1, subject=None):
    about = [{"name": "shop", "digest": {"sha256": "ab" * 32}}] if subject is None else subject
    return {"_type": form, "subject": about, "predicateType": kind, "predicate": predicate}


def signed(document, key=KEY):
    return attestation.sign(document, key)


@pytest.fixture
def trusting(workspace):
    """A workspace that trusts KEY to speak for b.example."""
    pem = write_public(KEY.public_key()).decode()
    said = {"name": "w", "builders": [{"id": "https://b.example", "key": pem}]}
    (workspace.root / app.SETTINGS).write_text(json.dumps(said))
    return workspace


def bring(workspace, path, data):
    path.write_bytes(data if isinstance(data, bytes) else orjson.dumps(data))
    return list(attest_import.bring_in(workspace, path))


@pytest.mark.parametrize(
    ("kind", "predicate", "form", "named"),
    [
        (builds.PROVENANCE, GITHUB, V1, "provenance"),
        (builds.PROVENANCE_V02, V02, V01, "provenance"),
        ("https://spdx.dev/Document/v2.3", {"spdxVersion": "SPDX-2.3", "packages": [{"name": "a"}]}, V1, "sbom"),
        ("https://cyclonedx.org/bom/v1.6", {"bomFormat": "CycloneDX", "components": []}, V01, "sbom"),
        ("https://in-toto.io/attestation/test-result/v0.1", {"result": "PASSED"}, V1, "tests"),
        ("https://in-toto.io/attestation/vulns/v0.2", {"scanner": {"uri": "grype", "result": []}}, V1, "vulnerabilities"),
        ("https://openvex.dev/ns/v0.2.0", {"author": "a", "statements": [{}]}, V1, "vex"),
        ("https://docs.pypi.org/attestations/publish/v1", None, V1, "publish"),
        ("https://else.example/v1", {"x": 1}, V1, "other"),
    ],
)  # fmt: skip
def test_each_kind_is_kept_and_told(  # noqa: PLR0917 - fixtures
    trusting, tmp_path, kind, predicate, form, named
):
    data = signed(statement(kind, predicate, form=form))
    [one] = bring(trusting, tmp_path / "a.json", data)
    assert (one.kind, one.type, one.subjects) == (named, kind, (IMAGE,))
    assert one.signer == attestation.key_id(KEY.public_key())
    assert app.vault(trusting).get(one.digest) == data
    state = attest.statements(trusting, IMAGE).get(named)
    assert state is None or state[0] == "verified"


@pytest.mark.parametrize(("kind", "predicate"), [(builds.PROVENANCE, GITHUB), (builds.PROVENANCE_V02, V02)])
def test_provenance_of_others_builders_proves_the_commit(trusting, tmp_path, kind, predicate):
    bring(trusting, tmp_path / "a.json", signed(statement(kind, predicate, form=V01)))
    build = attest.of_image(trusting, IMAGE).build
    assert (build.repository, build.commit, build.invocation) == ("https://github.com/org/shop", COMMIT, "7")


def test_what_nobody_trusted_signed_is_kept_and_proves_nothing(trusting, tmp_path):
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    sbom = statement("https://cyclonedx.org/bom", {"bomFormat": "CycloneDX", "components": []})
    made = [statement(builds.PROVENANCE, GITHUB), orjson.loads(signed(sbom, stranger)), sbom]
    found = bring(trusting, tmp_path / "a.json", made)
    assert [one.signer for one in found] == ["", "", ""]
    assert [one.why for one in found] == [
        "a statement that nobody signed", "no trusted key or identity signed these bytes",
        "a statement that nobody signed",
    ]  # fmt: skip
    assert len(attest.of_image(trusting, IMAGE).known) == 3
    assert attest.of_image(trusting, IMAGE).build is None
    said = attest.statements(trusting, IMAGE)
    assert {kind: state for kind, (state, _) in said.items()} == {
        "provenance": "invalid", "sbom": "invalid", "scan": "missing", "tests": "missing", "gate": "missing",
    }  # fmt: skip


POLICY = """package lemnis.no_agpl
import rego.v1
deny contains reason if {
    some one in input.sbom
    "AGPL-3.0-only" in one.licenses
    reason := {"message": one.purl, "where": input.image.name, "fix": "use another"}
}
"""


def test_a_policy_sees_what_an_image_is_made_of_where_a_trusted_key_says_it(trusting, tmp_path):
    part = {
        "type": "library",
        "name": "p",
        "version": "1.5",
        "purl": "pkg:pypi/p@1.5",
        "licenses": [{"license": {"id": "AGPL-3.0-only"}}],
    }
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [part], "score": 1.5}
    made = statement("https://cyclonedx.org/bom", bill)
    folder = trusting.content / "policies/no_agpl"
    folder.mkdir(parents=True)
    (folder / "policy.rego").write_text(POLICY)
    (folder / "policy.yaml").write_text(
        "id: no_agpl\ntitle: None\ndescription: None.\nstages: [release]\neffect: deny\nseverity: high\ncontrols: []\n"
    )
    bring(trusting, tmp_path / "a.json", made)
    assert attest.components(trusting, IMAGE) == ()
    assert "pkg:pypi/p@1.5" not in str(gates.image(trusting, "release", IMAGE).reasons)
    bring(trusting, tmp_path / "a.json", signed({**made, "predicate": {**bill, "components": [7]}}))
    bring(trusting, tmp_path / "a.json", signed(made))
    assert [(one.purl, one.licenses) for one in attest.components(trusting, IMAGE)] == [
        ("pkg:pypi/p@1.5", ("AGPL-3.0-only",))
    ]
    assert "pkg:pypi/p@1.5" in str(gates.image(trusting, "release", IMAGE).reasons)


def test_other_statements_are_no_provenance_that_fails(trusting, tmp_path):
    bring(trusting, tmp_path / "a.json", signed(statement("https://openvex.dev/ns", {"statements": []})))
    assert attest.statements(trusting, IMAGE)["provenance"] == ("missing", "")


def test_what_is_not_read_of_a_predicate_is_told(trusting, tmp_path):
    [one] = bring(trusting, tmp_path / "a.json", signed(statement(builds.PROVENANCE, GITHUB)))
    assert one.lost == {"buildDefinition.internalParameters.github.event_name": 1}
    assert one.facts["builder"] == "https://b.example"
    [one] = bring(trusting, tmp_path / "b.json", signed(statement(builds.PROVENANCE_V02, V02, form=V01)))
    assert one.lost == {"metadata.completeness.parameters": 1}
    many = {"bomFormat": "CycloneDX", "components": [{f"field{n}": 1} for n in range(500)]}
    [one] = bring(trusting, tmp_path / "c.json", signed(statement("https://cyclonedx.org/bom", many)))
    assert len(one.lost) == 201
    assert sum(one.lost.values()) == 500
    assert one.facts["components"] == 500


def forms():
    envelope = orjson.loads(signed(statement(builds.PROVENANCE, GITHUB)))
    line = orjson.dumps(envelope)
    return {
        "one": (line, 1),
        "lines": (b"\n".join([line, b"", line, b"{broken", b"3", line]), 3),
        "list": (orjson.dumps([envelope, envelope]), 2),
        "npm": (orjson.dumps({"attestations": [{"bundle": {"dsseEnvelope": envelope}}]}), 1),
        "google": (orjson.dumps({"provenance_summary": {"provenance": [{"envelope": envelope}]}}), 1),
        "pypi": (orjson.dumps({"version": 1, "attestation_bundles": [{"attestations": [{
            "verification_material": {"certificate": "AAAA", "transparency_entries": []},
            "envelope": {"statement": envelope["payload"], "signature": envelope["signatures"][0]["sig"]},
        }]}]}), 1),
    }  # fmt: skip


@pytest.mark.parametrize("form", sorted(forms()))
def test_every_form_of_a_file_is_read_and_its_good_parts_are_kept(trusting, tmp_path, form):
    data, good = forms()[form]
    found = bring(trusting, tmp_path / "a", data)
    assert sum(isinstance(one, Brought) for one in found) == good
    bad = [one for one in found if isinstance(one, Refused)]
    assert len(bad) == (2 if form == "lines" else 0)
    if bad:
        assert "no JSON" in bad[0].why
        assert str(bad[0].at).endswith("a#3")
    assert attest.of_image(trusting, IMAGE).build is not None


def test_a_folder_is_read_whole_and_links_are_not_followed(trusting, tmp_path, capsys):
    folder = tmp_path / "many"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.json").write_bytes(signed(statement(builds.PROVENANCE, GITHUB)))
    (folder / "sub" / "b.jsonl").write_bytes(forms()["lines"][0])
    (folder / "readme.txt").write_text("no attestation")
    (folder / "link.json").symlink_to(folder / "a.json")
    assert run(["attest", "import", str(folder), "-w", str(trusting.root), "--json"]) == 0
    *each, sums = map(orjson.loads, capsys.readouterr().out.splitlines())
    assert {name: sums[name] for name in ("statements", "signed", "unsigned", "refused")} == {
        "statements": 4, "signed": 4, "unsigned": 0, "refused": 3,
    }  # fmt: skip
    assert sums["lost_fields"] == {"buildDefinition.internalParameters.github.event_name": 4}
    assert len({one["digest"] for one in each}) == 2
    assert run(["attest", "import", str(folder / "readme.txt"), "-w", str(trusting.root)]) == 2
    with pytest.raises(NotFoundError):
        list(attest_import.bring_in(trusting, tmp_path / "nothing"))


def test_the_same_again_changes_nothing(trusting, tmp_path):
    bring(trusting, tmp_path / "a.json", forms()["lines"][0])
    head = app.journal(trusting).head()
    bring(trusting, tmp_path / "a.json", forms()["lines"][0])
    assert app.journal(trusting).head() == head


@pytest.mark.parametrize(
    ("document", "word"),
    [
        (statement("x", {}, form="https://in-toto.io/Statement/v0.2"), "no type of statement"),
        (statement(7, {}), "predicateType"),
        (statement("", {}), "predicateType"),
        (statement("x", []), "predicate is no object"),
        (statement("x", {}, subject=[]), "about nothing"),
        (statement("x", {}, subject={"digest": {}}), "about nothing"),
        (statement("x", {}, subject=[7, {"digest": 7}, {"digest": {"sha256": "short"}}]), "no subject"),
        (statement("x", {}, subject=[{"digest": {"sha256": "AB" * 32}}]), "no subject"),
        (statement("x", {}, subject=[{"digest": {"a b": "c" * 64}}]), "no subject"),
        (statement("x", {}, subject=[{"digest": {f"a{n}": "c" * 64 for n in range(17)}}]), "no subject"),
        (statement("x", {}, subject=[{"digest": {"sha256": f"{n:064x}"}} for n in range(10_001)]), "10,001"),
        ({"payload": 7, "payloadType": "x", "signatures": []}, "not a DSSE"),
        ({"payload": "e30", "payloadType": "text/plain", "signatures": []}, "not in-toto's"),
        ({"messageSignature": {}, "verificationMaterial": {}}, "signs a file"),
        ({}, "not a DSSE"),
    ],
)  # fmt: skip
def test_what_is_hostile_or_wrong_is_refused_with_its_reason(workspace, tmp_path, document, word):
    [one] = bring(workspace, tmp_path / "a.json", document)
    assert isinstance(one, Refused)
    assert word in one.why
    assert list(app.journal(workspace).entries(kind="attestation")) == []


def test_subjects_count_once_and_what_is_odd_is_told(workspace, tmp_path):
    one, two = {"sha256": "a" * 64}, {"sha256": "b" * 64}
    about = [{"name": "x", "digest": one}, {"name": "x", "digest": one}, {"name": "x", "digest": two}, {}]
    [found] = bring(workspace, tmp_path / "a.json", statement("x", {}, subject=about))
    assert found.subjects == ("sha256:" + "a" * 64, "sha256:" + "b" * 64)
    assert found.notes == (
        "subject 'x' is there twice", "subject 'x' has several digests", "subject 4 has no digest that is one",
    )  # fmt: skip


def test_size_depth_and_number_are_bounded(workspace, tmp_path, monkeypatch):
    deep = b'{"_type":"x","predicate":' + b"[" * 5000 + b"]" * 5000 + b"}"
    [one] = bring(workspace, tmp_path / "deep.json", deep)
    assert "JSON" in one.why
    for depth in (2, 100, 200, 400):
        nested = b'{"attestation_bundles":[' * depth + b'{"attestations":[7]}' + b"]}" * depth
        assert all(isinstance(one, Refused) for one in bring(workspace, tmp_path / "n.json", nested))
    bundle = b'{"dsseEnvelope":{"payload":"","payloadType":"%s","signatures":[]},"x":%s%s}'
    bundle %= (envelopes.PAYLOAD_TYPE.encode(), b"[" * 300, b"]" * 300)
    with pytest.raises(InputError, match="nested too deeply"):
        envelopes.read(bundle, Location("x"))
    monkeypatch.setattr(envelopes, "MAX_PIECES", 3)
    found = bring(workspace, tmp_path / "many.json", [statement("x", {})] * 9)
    assert [type(one) for one in found] == [Brought, Brought, Brought, Refused]
    monkeypatch.setattr(envelopes, "MAX_BYTES", 50)
    [one] = bring(workspace, tmp_path / "a.json", statement("x", {}))
    assert "larger than 50 bytes" in one.why
    monkeypatch.setattr(envelopes, "MAX_FILE", 40)
    [one] = bring(workspace, tmp_path / "b.json", statement("x", {}))
    assert "larger than 40 bytes" in one.why


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "_type", "subject", "predicateType", "predicate", "digest", "sha256", "payload", "payloadType",
            "signatures", "sig", "dsseEnvelope", "attestations", "bundle", "attestation_bundles", "envelope",
            "verification_material", "provenance_summary", "provenance",
        ]), inner, max_size=4,
    ),
    max_leaves=20,
))  # fmt: skip
def test_no_json_breaks_the_reading(document):
    for piece in envelopes.split(json.dumps(document).encode()):
        try:
            said = envelopes.statement(piece.data, Location("x"))
            predicates.read(said, Location("x"))
        except InputError:
            continue
        assert said["_type"] in attestation.STATEMENTS


NAMES = st.sampled_from([
    "buildDefinition", "externalParameters", "resolvedDependencies", "runDetails", "invocation", "configSource",
    "materials", "builder", "id", "uri", "digest", "sha1", "source", "workflow", "metadata",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_no_predicate_breaks_the_reading_of_a_build(predicate):
    for kind in builds.READERS:
        assert builds.read(kind, predicate).commit == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://github.com/Org/Repo.git", "git+https://github.com/org/repo@refs/heads/main"),
        ("git@github.com:org/repo.git", "ssh://git@github.com/org/repo"),
        ("https://user@git.example/a/b/", "git.example/a/b#main"),
        ("git+shop", "shop"),
    ],
)
def test_two_addresses_of_one_repository_are_the_same(one, other):
    assert builds.address(one) == builds.address(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://github.com/org/repo", "https://github.com.evil.example/org/repo"),
        ("https://github.com/org/repo", "https://evil.example/github.com/org/repo"),
        ("https://github.com@evil.example/org/repo", "https://github.com/org/repo"),
        ("https://git.example:8443/a/b", "https://git.example/a/b"),
    ],
)
def test_two_repositories_are_not(one, other):
    assert builds.address(one) != builds.address(other)


def test_envelopes_may_be_in_either_alphabet(trusting):
    document = orjson.loads(signed(statement(builds.PROVENANCE, {**GITHUB, "note": "\u00fb\u00ff>>??"})))
    raw = base64.b64decode(document["payload"])
    document["payload"] = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert envelopes.read(orjson.dumps(document), Location("x")).payload == raw


@pytest.mark.parametrize(("name", "least"), [("slsa-provenance", 160), ("guac-exampledata", 6)])
def test_real_attestations_are_kept_and_none_of_strangers_counts(trusting, tmp_path, name, least):
    file = SHARED / name / f"{name}.tar.zst"
    if not file.is_file():
        pytest.skip("the shared data sets are not beside this checkout")
    data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(file.read_bytes())).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(tmp_path / "real", filter="data")
    found = list(attest_import.bring_in(trusting, tmp_path / "real"))
    kept = [one for one in found if isinstance(one, Brought)]
    assert len(kept) >= least
    assert not any(one.signer for one in kept)
    images = {image for one in kept for image in one.subjects}
    assert all(attest.of_image(trusting, image).build is None for image in list(images)[:20])
