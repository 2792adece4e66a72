"""Labels and annotations of images against the provenance of their digest, up to the gate and the alert."""

import hashlib
import io
import json
import tarfile

import orjson
import pytest

from lemnis import app
from lemnis.app import attest, attest_labels, gates, scans
from lemnis.contracts.errors import InputError, UsageError
from lemnis.contracts.findings import Health, ScanHealth, ScanReport
from lemnis.graph.attestation import Build
from lemnis.graph.builds import Dependency
from lemnis.graph.labels import Said, State, compare, overall
from lemnis.interfaces.cli import run

from .conftest import AT

OCI = "org.opencontainers.image."
COMMIT, REPOSITORY = "4d" * 20, "https://git.example/team/shop"
BASE = "sha256:" + "ba" * 32


def build(**changes):
    said = {
        "subject": "shop", "subject_digest": "sha256:" + "ab" * 32, "builder": "https://b.example",
        "invocation": "7", "repository": REPOSITORY, "commit": COMMIT,
        "started": "2026-03-01T10:00:00Z", "finished": "2026-03-01T10:05:00Z", "keyid": "k",
        "dependencies": (
            Dependency(f"git+{REPOSITORY}", {"gitCommit": COMMIT}),
            Dependency("pkg:docker/python@3.12-slim?platform=linux%2Famd64", {"sha256": "ba" * 32}),
        ),
        **changes,
    }  # fmt: skip
    return Build(**said)


@pytest.mark.parametrize(
    ("label", "value", "state"),
    [
        ("source", REPOSITORY, "agrees"),
        ("source", "git@git.example:team/shop.git", "agrees"),
        ("source", f"{REPOSITORY}/tree/main/api", "agrees"),
        ("source", f"{REPOSITORY}-fork", "contradicts"),
        ("source", "https://evil.example/team/shop", "contradicts"),
        ("source", "", "unproven"),
        ("revision", COMMIT, "agrees"),
        ("revision", COMMIT[:12].upper(), "agrees"),
        ("revision", "5e" * 20, "contradicts"),
        ("revision", COMMIT[:6], "unproven"),
        ("revision", "v1.2", "unproven"),
        ("created", "2026-03-01T11:03:00+01:00", "agrees"),
        ("created", "2026-03-01T10:09:00Z", "agrees"),
        ("created", "2026-03-01T10:11:00Z", "contradicts"),
        ("created", "2026-02-01T10:00:00Z", "unproven"),
        ("created", "yesterday", "unproven"),
        ("base.digest", BASE, "agrees"),
        ("base.digest", "sha256:" + "00" * 32, "contradicts"),
        ("base.name", "docker.io/library/python:3.12", "agrees"),
        ("base.name", "python:3.12-slim", "agrees"),
        ("base.name", "evil/python:3.12", "contradicts"),
    ],
)
def test_each_label_is_judged(label, value, state):
    [one] = [c for c in compare([Said(OCI + label, value)], build()) if c.state is not State.ABSENT]
    assert one.state == state
    assert bool(one.why) == (state != "agrees")


@pytest.mark.parametrize("uri", [
    "pkg:docker/ghcr.io/org/base@1?platform=x", "pkg:oci/base@sha256%3Aba?repository_url=ghcr.io/org/base",
    "docker://ghcr.io/org/base:1", "oci://ghcr.io/org/base",
])  # fmt: skip
def test_base_images_are_named_in_several_ways(uri):
    one = build(dependencies=(Dependency(uri, {"sha256": "ba" * 32}),))
    said = [Said(f"{OCI}base.name", "ghcr.io/org/base:2"), Said(f"{OCI}base.digest", BASE)]
    assert {c.said.name: str(c.state) for c in compare(said, one) if c.state is not State.ABSENT} == {
        f"{OCI}base.name": "agrees", f"{OCI}base.digest": "agrees",
    }  # fmt: skip


def test_nothing_is_claimed_where_nothing_is_proven():
    said = [Said(f"{OCI}revision", COMMIT), Said(f"{OCI}base.digest", BASE), Said("maintainer", "x")]
    assert [c.state for c in compare(said, None)] == [State.UNPROVEN, State.UNPROVEN]
    bare = build(repository="shop", dependencies=())
    found = compare([Said(f"{OCI}source", "https://git.example/shop"), *said], bare)
    assert {c.fact: str(c.state) for c in found} == {
        "source": "unproven", "revision": "agrees", "base_digest": "unproven",
    }  # fmt: skip
    [source] = compare(
        [Said(f"{OCI}source", "https://git.example/shop")], bare, aliases=["https://git.example/other"]
    )[:1]
    assert source.state is State.CONTRADICTS


def test_what_no_label_says_is_absent_and_the_worst_counts():
    found = compare([], build())
    assert [(c.fact, c.attested) for c in found] == [("source", REPOSITORY), ("revision", COMMIT)]
    assert overall(found) == "absent"
    assert overall(compare([Said(f"{OCI}revision", COMMIT)], build())) == "agrees"
    both = [Said(f"{OCI}revision", COMMIT), Said(f"{OCI}revision", "5e" * 20, "annotation")]
    assert overall(compare(both, build())) == "contradicts"


def test_own_labels_may_repeat_the_builder():
    own = {"ci.builder": "builder", "ci.run": "invocation"}
    said = [Said("ci.builder", "https://evil.example"), Said("ci.run", "7")]
    found = compare(said, build(), own=own)
    assert {c.fact: str(c.state) for c in found if c.state is not State.ABSENT} == {
        "builder": "contradicts", "invocation": "agrees",
    }  # fmt: skip


# -- images ------------------------------------------------------------------------------------------------


def blob(files, document):
    data = orjson.dumps(document)
    name = hashlib.sha256(data).hexdigest()
    files[f"blobs/sha256/{name}"] = data
    return {"digest": f"sha256:{name}", "size": len(data), "mediaType": "x"}


def layout(labels=None, annotations=None, *, index=False):
    """Return the files of an OCI layout, the digest of its image, and that of the index around it."""
    files = {}
    config = blob(files, {"config": {"Labels": labels or {}}, "os": "linux", "architecture": "amd64"})
    manifest = blob(
        files, {"schemaVersion": 2, "config": config, "layers": [], "annotations": annotations or {}}
    )
    top = blob(files, {"schemaVersion": 2, "manifests": [manifest]}) if index else manifest
    files["index.json"] = orjson.dumps({"schemaVersion": 2, "manifests": [top]})
    return files, manifest["digest"], top["digest"]


def written(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def tarred(file, files):
    with tarfile.open(file, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file


@pytest.fixture
def attested(workspace, shop, tmp_path):
    """Attest an image as built from the shop; return what does it."""
    attest.keygen(tmp_path / "key")
    pem = (tmp_path / "key.pub").read_text()
    (workspace.root / app.SETTINGS).write_text(json.dumps({
        "name": "w", "builders": [{"id": "b", "key": pem}], "image_labels": {"ci.commit": "revision"},
        "repositories": [{"name": "shop", "path": str(shop.path), "url": REPOSITORY}],
    }))  # fmt: skip

    def sign(image):
        commit = shop.resolve("HEAD")
        attest.sign(
            workspace, image=image, key=tmp_path / "key", builder="b", repository="shop", commit=commit
        )
        return commit

    return sign


def alerts(workspace):
    return [entry.payload for entry in app.journal(workspace).entries(kind="alert")]


def test_a_forged_label_is_a_finding_an_alert_an_incident_and_stops_the_deploy(  # noqa: PLR0917 - fixtures
    workspace, shop, attested, tmp_path, capsys, monkeypatch
):
    clean = ScanReport((), (ScanHealth("fake", "1", Health.OK, 1, (), 1),))
    monkeypatch.setattr(scans, "reports", lambda _w, _r, commits: {one.id: clean for one in commits})
    gates.code(workspace, "build", shop, "HEAD")
    labels = {f"{OCI}source": REPOSITORY, f"{OCI}revision": shop.resolve("HEAD")}
    files, good, _ = layout(labels)
    attested(good)
    command = ["attest", "labels", "-w", str(workspace.root), "--json"]
    assert run([*command, str(tarred(tmp_path / "good.tar", files))]) == 0
    said = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["name"]: one["state"] for one in said} == dict.fromkeys(labels, "agrees")
    assert gates.image(workspace, "deploy", good).effect.value == "allow"
    assert alerts(workspace) == []

    files, forged, _ = layout({**labels, f"{OCI}revision": "5e" * 20})
    attested(forged)
    assert gates.image(workspace, "deploy", forged).effect.value == "allow"
    assert run([*command, str(written(tmp_path / "forged", files))]) == 1
    made = gates.image(workspace, "deploy", forged)
    [why] = [one for one in made.reasons if one.effect.value == "deny"]
    assert (made.effect.value, why.policy) == ("deny", "image_labels_agree")
    assert shop.resolve("HEAD") in why.message
    [alert] = alerts(workspace)
    assert alert["title"] == f"the label {OCI}revision contradicts the provenance of its image"
    assert alert["entities"] == [f"image:{forged}"]
    [row] = (
        app.events(workspace)
        .query("SELECT metadata.uid AS uid, resources FROM compliance_finding")
        .to_pylist()
    )
    assert alert["event_uids"] == [row["uid"]]
    assert [entry.kind for entry in app.journal(workspace).entries(kind="incident.opened")] == [
        "incident.opened"
    ]
    attest_labels.look(workspace, tmp_path / "forged")
    assert len(alerts(workspace)) == 1


def test_labels_that_were_read_before_the_provenance_came_are_compared_then(workspace, attested, tmp_path):
    files, image, _ = layout({"ci.commit": "5e" * 20})
    [looked] = attest_labels.look(workspace, written(tmp_path / "i", files))
    assert [str(one.state) for one in looked.compared] == ["unproven"]
    assert attest_labels.facts(workspace, image)[0] == "unproven"
    assert attest_labels.facts(workspace, "sha256:" + "00" * 32) == ("unknown", [])
    attested(image)
    assert [one["title"] for one in alerts(workspace)] == [
        "the label ci.commit contradicts the provenance of its image"
    ]
    assert attest_labels.facts(workspace, image)[0] == "contradicts"


def test_annotations_count_and_an_index_has_the_labels_of_what_it_holds(workspace, attested, tmp_path):
    files, image, index = layout(
        {f"{OCI}source": REPOSITORY}, {f"{OCI}source": "https://evil.example/shop"}, index=True
    )
    attested(index)
    folder = written(tmp_path / "i", files)
    [looked] = attest_labels.look(workspace, folder, index)
    states = {one.said.place: str(one.state) for one in looked.compared if one.said.value}
    assert states == {"label": "agrees", "annotation": "contradicts"}
    assert {one.image for one in attest_labels.look(workspace, folder)} == {image, index}
    with pytest.raises(UsageError, match="no image there"):
        attest_labels.look(workspace, folder, "sha256:" + "00" * 32)


def test_what_tools_print_of_an_image_is_read_too(workspace, attested, tmp_path):
    image = "sha256:" + "ab" * 32
    attested(image)
    labels = {f"{OCI}revision": "5e" * 20}
    for name, document in {
        "docker": [{"RepoDigests": [f"shop@{image}"], "Config": {"Labels": labels}}],
        "skopeo": {"Name": "shop", "Digest": image, "Labels": labels},
    }.items():
        (tmp_path / name).write_bytes(orjson.dumps(document))
        [looked] = attest_labels.look(workspace, tmp_path / name)
        assert (looked.image, overall(looked.compared)) == (image, "contradicts")
    assert len(alerts(workspace)) == 1


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"no image", "no image"),
        (b"", "no image"),
        (b"{broken", "no image"),
        (b'[{"RepoDigests": 7}]', "digest"),
        (b'{"Digest": "x", "Labels": {}}', "image digest"),
        (b"[7, null]", "digest"),
    ],
)
def test_what_is_no_image_is_refused(workspace, tmp_path, data, word):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match=word):
        attest_labels.look(workspace, tmp_path / "x")
    with pytest.raises(InputError):
        attest_labels.look(workspace, tmp_path / "nothing")


def test_a_label_counts_for_nothing_more_than_its_bounds(workspace, attested, tmp_path):
    files, image, _ = layout({f"{OCI}source": "x" * 9000, f"{OCI}revision": 7, "other": "secret"})
    attest_labels.look(workspace, written(tmp_path / "i", files))
    [entry] = app.journal(workspace).entries(kind=attest_labels.LABELS)
    assert entry.subject == f"image:{image}"
    assert [(one["name"], len(one["value"])) for one in entry.payload["labels"]] == [(f"{OCI}source", 1000)]
    assert entry.at == AT
