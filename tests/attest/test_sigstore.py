"""Keyless signing and verifying, against an instance of the test's own, over HTTP; and others' real bundles."""

import base64
import io
import json
import sys
import tarfile
from collections import Counter
from pathlib import Path

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemnis import app
from lemnis.app import attest, attest_sigstore
from lemnis.app import settings as workspace_settings
from lemnis.contracts.errors import ContentError, InputError, IntegrityError, ServiceError
from lemnis.graph import attestation, envelopes
from lemnis.graph.identities import Bundles, Claims, Identity
from lemnis.interfaces.cli import run

from .conftest import WORKFLOW

pytest.importorskip("sigstore", reason="the extra `sigstore` is not installed")
from lemnis.graph import sigstore

from .local import Instance, token

IMAGE = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
REPOSITORY = "https://git.example/team/shop.git"
SHARED = Path(__file__).parents[2] / "../shared/data/devsecops/slsa-provenance/slsa-provenance.tar.zst"


@pytest.fixture
def sign(workspace, shop, instance, trust, tmp_path, monkeypatch):  # noqa: PLR0917 - fixtures
    """Sign the provenance of IMAGE by the command, as CI would; return the bundle."""

    def make(*, subject=WORKFLOW, builder=WORKFLOW, repository=REPOSITORY, **claims):
        said = {"repository": "https://git.example/team/shop", "sha": shop.resolve("HEAD"), **claims}
        monkeypatch.setenv("TOKEN", token(subject, **{name: one for name, one in said.items() if one}))
        out = tmp_path / "bundle.json"
        with instance.served() as url:
            trust(url)
            code = run([
                "attest", "sign", "--image", IMAGE, "--sigstore", "--token-env", "TOKEN", "--builder", builder,
                "--repo", str(shop.path), "--repository", repository, "--out", str(out), "-w",
                str(workspace.root),
            ])  # fmt: skip
        assert code == 0
        return out.read_bytes()

    return make


def failed(workspace, bundle, image=IMAGE):
    """Return the check that fails and what it says."""
    return next(((c.name, c.detail) for c in attest.verify(workspace, bundle, image) if c.ok is False), None)


def test_ci_signs_without_a_key_and_the_image_has_a_build(workspace, sign, shop, tmp_path, capsys):
    bundle = sign()
    assert orjson.loads(bundle)["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    build = attest.of_image(workspace, IMAGE).build
    assert (build.commit, build.repository, build.builder) == (shop.resolve("HEAD"), REPOSITORY, WORKFLOW)
    assert build.keyid == f"{WORKFLOW} (https://oidc.example)"
    assert attest.statements(workspace, IMAGE)["provenance"] == ("verified", "")
    file = tmp_path / "b.json"
    file.write_bytes(bundle)
    capsys.readouterr()
    arguments = ["attest", "verify", str(file), "-w", str(workspace.root), "--json", "--image"]
    assert run([*arguments, IMAGE]) == 0
    assert all(orjson.loads(line)["ok"] for line in capsys.readouterr().out.splitlines())
    assert run([*arguments, OTHER]) == 1


@pytest.mark.parametrize(
    ("identity", "check", "word"),
    [
        ({}, "", ""),
        ({"subject": "https://ci.example/shop/*"}, "", ""),
        ({"repositories": ["git@git.example:team/shop.git"]}, "", ""),
        ({"issuer": "https://other.example"}, "signature", "none of the identities"),
        ({"subject": "https://ci.example/other/*"}, "signature", "none of the identities"),
        ({"subject": "https://ci.example/shop/build.yml"}, "signature", "none of the identities"),
        ({"repositories": ["https://git.example/team/other"]}, "signature", "none of the identities"),
        ({"builder": "https://builder.example"}, "builder", "is not whom"),
        ({"parameters": {"workflow": "build.yml"}}, "parameters", "workflow is None"),
    ],
)
def test_whom_we_believe_is_said_in_the_settings(  # noqa: PLR0917 - fixtures
    workspace, sign, trust, identity, check, word
):
    bundle = sign()
    trust(**identity)
    name, detail = failed(workspace, bundle) or ("", "")
    assert name == check
    assert word in detail


def test_the_certificate_must_vouch_for_the_source_that_the_provenance_names(workspace, sign):
    assert failed(workspace, sign(sha="d" * 40))[0] == "source"
    assert "vouches for" in failed(workspace, sign(repository="https://git.example/team/other"))[1]
    assert failed(workspace, sign(sha=None)) is None


def test_a_person_may_sign_too(workspace, sign, trust):
    bundle = sign(subject="ana@example.org", builder="ana@example.org", repository=REPOSITORY, sha=None)
    assert failed(workspace, bundle)[0] == "signature"
    trust(subject="*@example.org")
    assert failed(workspace, bundle) is None


@pytest.mark.parametrize(
    ("wrong", "word"), [("sct", "SCT"), ("checkpoint", "checkpoint"), ("proof", "root hash")]
)
def test_what_the_services_make_must_hold_before_it_is_kept(workspace, trust, monkeypatch, wrong, word):
    liar = Instance()
    liar.wrong = {wrong}
    monkeypatch.setenv("TOKEN", token(WORKFLOW))
    with liar.served() as url:
        trust(url)
        (workspace.root / "root.json").write_text(json.dumps(liar.trusted_root()))
        by = attest_sigstore.signer(workspace, "TOKEN")
        with pytest.raises(ServiceError, match=word):
            attest.sign(
                workspace, image=IMAGE, key=by, builder=WORKFLOW, repository=REPOSITORY, commit="c" * 40
            )
    assert attest.of_image(workspace, IMAGE).known == ()


def test_another_instances_root_believes_nothing_of_it(workspace, sign):
    bundle = sign()
    (workspace.root / "root.json").write_text(json.dumps(Instance().trusted_root()))
    assert failed(workspace, bundle)[0] == "signature"
    (workspace.root / "root.json").write_text("{}")
    with pytest.raises(ContentError, match="no trusted root"):
        attestation.verify(bundle, workspace_settings.trusted(workspace), subject_digest=IMAGE)


def test_a_bundle_in_pypis_form_is_the_same(workspace, sign):
    document = orjson.loads(sign())
    material, inner = document["verificationMaterial"], document["dsseEnvelope"]
    pypi = {
        "version": 1,
        "verification_material": {
            "certificate": material["certificate"]["rawBytes"],
            "transparency_entries": material["tlogEntries"],
        },
        "envelope": {"statement": inner["payload"], "signature": inner["signatures"][0]["sig"]},
    }
    assert failed(workspace, orjson.dumps(pypi)) is None


@pytest.fixture(scope="module")
def good(instance, tmp_path_factory):
    """A bundle, its trusted signer, and the build that it tells."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "root.json").write_text(json.dumps(instance.trusted_root()))
    root = sigstore.trusted_root(str(folder / "root.json"))
    made = attestation.build_statement(
        subject="shop", subject_digest=IMAGE, builder=WORKFLOW, invocation="1", repository=REPOSITORY,
        commit="c" * 40, started=0, finished=1,
    )  # fmt: skip
    with instance.served() as url:
        (folder / "signing.json").write_text(json.dumps(instance.signing_config(url)))
        config = sigstore.signing_config(str(folder / "signing.json"))
        bundle = sigstore.sign(orjson.dumps(made), token(WORKFLOW), root, config)
    signers = [Bundles([Identity("https://oidc.example", WORKFLOW)], str(folder / "root.json"))]
    return bundle, signers, attestation.verify(bundle, signers, subject_digest=IMAGE)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_one_changed_byte_of_a_bundle_never_gives_another_build(good, data):
    bundle, signers, build = good
    changed = bytearray(bundle)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = attestation.verify(bytes(changed), signers, subject_digest=IMAGE)
    except (InputError, IntegrityError):
        return
    assert found == build


@pytest.mark.parametrize(
    "path",
    [
        ("verificationMaterial",),
        ("verificationMaterial", "certificate"),
        ("verificationMaterial", "certificate", "rawBytes"),
        ("verificationMaterial", "tlogEntries"),
        ("verificationMaterial", "tlogEntries", 0, "inclusionProof"),
        ("verificationMaterial", "tlogEntries", 0, "inclusionProof", "checkpoint", "envelope"),
        ("verificationMaterial", "tlogEntries", 0, "inclusionProof", "hashes"),
        ("verificationMaterial", "tlogEntries", 0, "inclusionPromise", "signedEntryTimestamp"),
        ("verificationMaterial", "tlogEntries", 0, "integratedTime"),
        ("verificationMaterial", "tlogEntries", 0, "canonicalizedBody"),
        ("verificationMaterial", "tlogEntries", 0, "kindVersion", "kind"),
        ("dsseEnvelope", "signatures"),
        ("dsseEnvelope", "payload"),
        ("mediaType",),
    ],
)
@pytest.mark.parametrize(
    "value", [None, "", "AAAA", [], {}, 7, -1, 2**70, "\0", [[[]]], {"kind": []}, "intoto"]
)
def test_hostile_bundles_are_refused_never_crash(good, path, value):
    bundle, signers, _ = good
    document = orjson.loads(bundle)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises((IntegrityError, InputError)):
        attestation.verify(json.dumps(document).encode(), signers, subject_digest=IMAGE)


def test_without_the_library_a_bundle_counts_for_nothing_and_says_why(good, monkeypatch):
    bundle, signers, _ = good
    monkeypatch.delattr("lemnis.graph.sigstore")
    monkeypatch.setitem(sys.modules, "lemnis.graph.sigstore", None)
    with pytest.raises(IntegrityError, match=r"pip install 'lemnis\[sigstore\]'"):
        attestation.verify(bundle, signers, subject_digest=IMAGE)


def test_who_signs_is_asked_once(workspace, shop, trust, monkeypatch, capsys):
    trust()
    arguments = [
        "attest", "sign", "--image", IMAGE, "--builder", "b", "--repo", str(shop.path), "-w",
        str(workspace.root),
    ]  # fmt: skip
    for variable in ("ACTIONS_ID_TOKEN_REQUEST_URL", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE"):
        monkeypatch.delenv(variable, raising=False)
    assert run(arguments) == 2
    assert "who signs?" in capsys.readouterr().err
    assert run([*arguments, "--sigstore", "--token-env", "NO_TOKEN"]) == 2
    assert "NO_TOKEN is not set" in capsys.readouterr().err
    monkeypatch.setenv("TOKEN", "no token")
    assert run([*arguments, "--sigstore", "--token-env", "TOKEN"]) == 3
    assert "malformed" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("subject", "name", "same"),
    [
        ("https://a/*", "https://a/b@c", True),
        ("https://a/*", "https://ab", False),
        ("*@example.org", "x@example.org", True),
        ("*@example.org", "x@example.org.evil", False),
        ("https://a.b/c", "https://aXb/c", False),
        ("a*c", "a\nc", True),
    ],
)
def test_a_star_is_any_text_and_nothing_else_is(subject, name, same):
    found = Identity("https://i", subject).named(Claims("https://i", ("no", name)))
    assert found == (name if same else "")


def test_repositories_hold_only_where_the_certificate_names_one():
    one = Identity("https://i", "*a", ("https://github.com/org/repo",))
    assert one.named(Claims("https://i", ("a",), "https://github.com/Org/repo.git")) == "a"
    assert not one.named(Claims("https://i", ("a",), "https://github.com/org/repo2"))


# -- real bundles ------------------------------------------------------------------------------------------


def test_real_bundles_verify_by_the_public_root_without_a_network(workspace, tmp_path, monkeypatch):
    if not SHARED.is_file():
        pytest.skip("the shared data sets are not beside this checkout")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (workspace.root / app.SETTINGS).write_text(json.dumps({
        "name": "w",
        "sigstore": {"identities": [{
            "issuer": "https://token.actions.githubusercontent.com",
            "subject": "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/*@refs/tags/*",
            "repositories": ["https://github.com/slsa-framework/example-package"],
        }]},
    }))  # fmt: skip
    trusted = workspace_settings.trusted(workspace)
    unpacked = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(SHARED.read_bytes())).read()
    builds, why = [], Counter()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        for member in tar:
            if not member.name.endswith((".jsonl", ".slsa", ".sigstore", "tgz.json")):
                continue
            for piece in envelopes.split(tar.extractfile(member).read(), member.name):
                try:
                    about = attestation.subjects(piece.data)
                    builds.append(attestation.verify(piece.data, trusted, subject_digest=[*about, ""][0]))
                except (InputError, IntegrityError) as error:
                    why[error.what.partition(": ")[2][:60]] += 1
    assert len(builds) == 4
    assert {build.repository for build in builds} == {"https://github.com/slsa-framework/example-package"}
    assert all(len(base64.b16decode(build.commit.upper())) == 20 for build in builds)
    assert why == {
        "no trusted key or identity signed these bytes": 57,  # envelopes that came without their bundle
        "no trusted key or identity signed these bytes (the bundle: i": 102,  # ts log entry is of the old kind
        "": 2,  # no envelopes of in-toto's
    }
