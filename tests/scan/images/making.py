"""Makes images for tests: OCI layouts and what ``docker save`` writes, from layers of plain files."""

import gzip
import hashlib
import io
import json
import tarfile

import zstandard

CREATED = "2026-11-01T00:00:00.123456789Z"


def layer(files, *, setuid=(), links=()):
    """A layer's tar: text or bytes by path; None deletes a path of the layers below."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in files.items():
            folder, _, name = path.rpartition("/")
            place = path if data is not None else f"{folder}/.wh.{name}".lstrip("/")
            raw = data.encode() if isinstance(data, str) else data or b""
            one = tarfile.TarInfo(place)
            one.size, one.mode = (
                len(raw),
                0o4755 if path in setuid else 0o755 if path.startswith("bin/") else 0o644,
            )
            tar.addfile(one, io.BytesIO(raw))
        for path, target in links:
            one = tarfile.TarInfo(path)
            one.type, one.linkname = tarfile.SYMTYPE, target
            tar.addfile(one)
    return out.getvalue()


def config(layers, **said):
    history = [{"created_by": f"step {n}"} for n in range(1, len(layers) + 1)]
    return {"created": CREATED, "os": "linux", "architecture": "amd64", "config": {"User": "10001"},
            "history": history, **said}  # fmt: skip


def oci(layers, said=None, *, pack=lambda data: data, name="shop:1.4"):
    """The files of an OCI layout by path."""
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return f"sha256:{digest}"

    packed = [blob(pack(one)) for one in layers]
    about = blob(json.dumps(config(layers) if said is None else said).encode())
    manifest = blob(json.dumps({"schemaVersion": 2, "config": {"digest": about}, "layers": [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": one} for one in packed]}).encode())  # fmt: skip
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [
        {"digest": manifest, "annotations": {"org.opencontainers.image.ref.name": name}}]}).encode()  # fmt: skip
    return files


def saved(layers, said=None):
    """The files of what docker save writes (before version 25)."""
    files = {f"{n}/layer.tar": one for n, one in enumerate(layers)}
    files["config.json"] = json.dumps(config(layers) if said is None else said).encode()
    files["manifest.json"] = json.dumps(
        [
            {
                "Config": "config.json",
                "RepoTags": ["shop:1.4"],
                "Layers": [f"{n}/layer.tar" for n in range(len(layers))],
            }
        ]
    ).encode()
    return files


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in files.items():
            one = tarfile.TarInfo(path)
            one.size = len(data)
            tar.addfile(one, io.BytesIO(data))
    return out.getvalue()


def laid_out(folder, files):
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


zstd = zstandard.ZstdCompressor().compress
gz = gzip.compress
