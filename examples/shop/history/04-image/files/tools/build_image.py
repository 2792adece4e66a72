"""Build the shop's image from a git tree: an OCI image layout with one layer, the application.

The same commit gives the same digest on every machine and every Python from 3.11: the files come from git's
object store, never from the working tree; the layer is a plain ustar archive written here, byte by byte, and
not compressed; no clock is read. The base system (Python, shell) is supplied by the node.

    python3 tools/build_image.py --repository . --commit HEAD --output build/image
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from subprocess import check_output

INTO = "app/"
TAKEN = "shop/"
USER = 10001
SOURCE = "https://git.shop.example/shop"


def git(repository: Path, *arguments: str) -> bytes:
    return check_output(["git", "-C", str(repository), *arguments])


def files(repository: Path, commit: str) -> list[tuple[str, int, bytes]]:
    """Return the path, mode and content of each file of the application at a commit, sorted by path."""
    found = []
    for entry in git(repository, "ls-tree", "-r", "-z", commit, "--", TAKEN).split(b"\0"):
        if entry:
            about, _, path = entry.partition(b"\t")
            mode, kind, name = about.decode().split()
            if kind == "blob" and mode != "120000":
                content = git(repository, "cat-file", "blob", name)
                found.append((path.decode(), 0o755 if mode == "100755" else 0o644, content))
    if not found:
        raise SystemExit(f"no files under {TAKEN} at {commit}")
    return sorted(found)


def layer(entries: list[tuple[str, int, bytes]]) -> bytes:
    """Return a ustar archive of the entries and the folders they are in."""
    folders = {INTO}
    for path, _, _ in entries:
        parts = path.split("/")[:-1]
        folders |= {INTO + "/".join(parts[: n + 1]) + "/" for n in range(len(parts))}
    members = [(folder, 0o755, None) for folder in folders]
    members += [(INTO + path, mode, content) for path, mode, content in entries]
    blocks = []
    for name, mode, content in sorted(members, key=lambda member: member[0]):
        data = content or b""
        blocks.append(header(name, mode, len(data), "0" if content is not None else "5"))
        blocks.append(data + bytes(-len(data) % 512))
    return b"".join(blocks) + bytes(1024)


def header(name: str, mode: int, size: int, kind: str) -> bytes:
    """Return the 512 bytes before a member (POSIX.1-1988, ustar): owner root, time 0."""
    encoded = name.encode()
    if len(encoded) > 100:
        raise SystemExit(f"path too long: {name}")
    fields = [
        encoded.ljust(100, b"\0"), b"%07o\0" % mode, b"%07o\0" % 0, b"%07o\0" % 0, b"%011o\0" % size, b"%011o\0" % 0,
        b" " * 8, kind.encode(), bytes(100), b"ustar\0", b"00", bytes(32), bytes(32), b"%07o\0" % 0, b"%07o\0" % 0,
        bytes(155), bytes(12),
    ]  # fmt: skip
    total = sum(b"".join(fields))
    fields[6] = b"%06o\0 " % total
    return b"".join(fields)


def build(repository: Path, commit: str) -> tuple[str, dict[str, bytes]]:
    """Return the digest of the manifest and the layout's files by path."""
    commit = git(repository, "rev-parse", "--verify", commit + "^{commit}").decode().strip()
    archive = layer(files(repository, commit))
    config = as_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "User": f"{USER}:{USER}",
                "Env": ["PATH=/usr/bin:/bin", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"],
                "Entrypoint": ["/usr/bin/python3", "-m", "shop"],
                "Cmd": ["web"],
                "WorkingDir": "/app",
                "Labels": {"org.opencontainers.image.revision": commit, "org.opencontainers.image.source": SOURCE},
            },
            "rootfs": {"type": "layers", "diff_ids": [name(archive)]},
        }
    )
    manifest = as_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": describe("application/vnd.oci.image.config.v1+json", config),
            "layers": [describe("application/vnd.oci.image.layer.v1.tar", archive)],
            "annotations": {"org.opencontainers.image.revision": commit},
        }
    )
    index = as_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [describe("application/vnd.oci.image.manifest.v1+json", manifest)],
        }
    )
    layout = {"oci-layout": as_json({"imageLayoutVersion": "1.0.0"}), "index.json": index}
    layout |= {f"blobs/sha256/{name(blob)[7:]}": blob for blob in (archive, config, manifest)}
    return name(manifest), layout


def describe(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": name(content), "size": len(content)}


def name(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def as_json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the shop's image and print its digest.")
    parser.add_argument("--repository", type=Path, default=Path())
    parser.add_argument("--commit", default="HEAD")
    parser.add_argument("--output", type=Path, help="folder for the image layout")
    arguments = parser.parse_args()
    digest, layout = build(arguments.repository, arguments.commit)
    if arguments.output:
        for path, content in layout.items():
            target = arguments.output / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    print(digest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
