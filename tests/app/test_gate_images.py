"""A gate over an image that lies here: what is in it counts."""

import hashlib
import io
import json
import tarfile

import pytest

from lemnis import app
from lemnis.app import gate_images
from lemnis.contracts.clock import ManualClock, from_iso
from lemnis.contracts.errors import InputError
from lemnis.contracts.findings import Effect
from lemnis.interfaces.cli import run

POLICY = """package lemnis.nothing_high
import rego.v1
deny contains {"message": finding.title, "where": finding.where} if {
    some finding in input.findings
    finding.severity_id >= 4
}
"""


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in files.items():
            one = tarfile.TarInfo(path)
            one.size = len(content)
            tar.addfile(one, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def workspace(tmp_path):
    made = app.init(tmp_path / "w", clock=ManualClock(from_iso("2026-03-10T12:00:00Z")))
    folder = made.content / "policies" / "nothing_high"
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text("id: nothing_high\ntitle: t\nstages: [release]\n")
    (folder / "policy.rego").write_text(POLICY)
    return made


def saved(path, **config):
    said = json.dumps({"created": "2026-03-01T00:00:00Z", "config": config}).encode()
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["shop:1"], "Layers": ["l.tar"]}]).encode()
    path.write_bytes(tarred({"manifest.json": manifest, "c.json": said, "l.tar": tarred({"a": b"a"})}))
    return f"sha256:{hashlib.sha256(said).hexdigest()}"


def test_what_is_found_in_the_image_counts(workspace, tmp_path):
    clean = saved(tmp_path / "clean.tar", User="app")
    secret = saved(tmp_path / "secret.tar", User="app", Env=["DB_PASSWORD=hunter2hunter2"])
    reasons = {}
    for name, digest in (("clean", clean), ("secret", secret)):
        made = gate_images.ask(workspace, "release", tmp_path / f"{name}.tar")
        reasons[name] = {one.policy for one in made.reasons if one.effect is Effect.DENY}
        (entry,) = app.journal(workspace).entries(kind="decision", subject=f"image:{digest}")
        assert entry.payload["decision"] == "deny"  # nobody attests it
    assert reasons["secret"] - reasons["clean"] == {"nothing_high"}


def test_what_is_no_image_is_refused(workspace, tmp_path):
    (tmp_path / "a.tar").write_bytes(tarred({"a": b"a"}))
    with pytest.raises(InputError, match="no image"):
        gate_images.ask(workspace, "release", tmp_path / "a.tar")
    assert run(["gate", "release", "--image", str(tmp_path / "a.tar"), "-w", str(workspace.root)]) == 2
