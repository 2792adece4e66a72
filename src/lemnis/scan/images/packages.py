"""Packages of an image from the records that package managers leave in it, as package URLs."""

from __future__ import annotations

import io
import re
import sqlite3
import struct
import zipfile
from collections.abc import Iterator, Mapping
from email.parser import HeaderParser
from typing import Final

import orjson
from packageurl import PackageURL

from lemnis.contracts.errors import RecordError
from lemnis.scan.readers import mapping

MAX_RECORD: Final = 64 << 20
"""Bytes of one record that is read: a package database, an archive, a program."""
_MAX_POM: Final = 65_536
_MAX_MEMBERS: Final = 20_000
_JAR = re.compile(r"^(?P<name>.+?)-(?P<version>\d[\w.+-]*)\.(?:jar|war|ear)$")
_GO = b"\xff Go buildinf:"
_RPM: Final = {1000: "name", 1001: "version", 1002: "release", 1003: "epoch", 1022: "arch"}
"""Tags of an RPM header (RPM package format, header tags)."""
_STEPS: Final = 20_000_000
_WRONG: Final = (
    ValueError, KeyError, TypeError, struct.error, sqlite3.Error, zipfile.BadZipFile, OSError, EOFError,
    NotImplementedError, RuntimeError,
)  # fmt: skip
"""What a damaged record makes its reader raise."""
_INT, _STRING = 4, frozenset({6, 8, 9})


def kind(path: str) -> str:
    """Say which record a file is by its path in the image; empty if it is none."""
    name = path.rpartition("/")[2]
    if path in _KNOWN:
        return _KNOWN[path]
    if path.startswith("var/lib/dpkg/status.d/") and "." not in name:
        return "dpkg"
    if path.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO")):
        return "python"
    if name == "package.json" and "/node_modules/" in f"/{path}":
        return "node"
    return "jar" if name.endswith((".jar", ".war", ".ear")) else ""


_KNOWN: Final[Mapping[str, str]] = {
    "var/lib/dpkg/status": "dpkg", "lib/apk/db/installed": "apk", "usr/lib/apk/db/installed": "apk",
    "var/lib/rpm/rpmdb.sqlite": "rpm", "usr/lib/sysimage/rpm/rpmdb.sqlite": "rpm",
    "etc/os-release": "release", "usr/lib/os-release": "release",
}  # fmt: skip


def release(data: bytes) -> dict[str, str]:
    """Return the fields of an os-release file (``ID``, ``VERSION_ID`` …)."""
    pairs = (line.partition("=") for line in data.decode(errors="replace").splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def purls(record: str, path: str, data: bytes, system: Mapping[str, str]) -> list[str]:
    """Return the packages of a record; ``system`` is the os-release of the image.

    Raises RecordError for a record that cannot be read.
    """
    try:
        return list(dict.fromkeys(_READERS[record](path, data, system)))
    except _WRONG as error:
        raise RecordError(f"{path}: this {record} record cannot be read: {error}") from error


def go(data: bytes) -> list[str]:
    """Return the modules of a Go program (debug/buildinfo, inline since Go 1.18); none if it is none."""
    at = data.find(_GO)
    if at < 0 or len(data) < at + 33 or not data[at + 15] & 2:
        return []
    version, place = _counted(data, at + 32)
    text, _ = _counted(data, place)
    found = [_purl("golang", "", "stdlib", version.decode(errors="replace").removeprefix("go").split(" ")[0])]
    for line in text.decode(errors="replace").split("\n"):
        words = line.split("\t")
        if words[0] in {"dep", "mod"} and len(words) > 2:  # noqa: PLR2004 - dep, path, version
            space, _, name = words[1].rpartition("/")
            if words[2] != "(devel)":
                found.append(_purl("golang", space, name, words[2]))
    return found


def _counted(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a text with its length before it (unsigned varint)."""
    size = shift = 0
    while at < len(data) and shift < 35:  # noqa: PLR2004 - five groups of seven bits
        byte = data[at]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            break
    return data[at : at + size], at + size


def _purl(kind_: str, space: str, name: str, version: str, **qualifiers: str) -> str:
    given = {key: value for key, value in qualifiers.items() if value}
    return PackageURL(kind_, space or None, name, version or None, given or None).to_string()


def _dpkg(_: str, data: bytes, system: Mapping[str, str]) -> Iterator[str]:
    for block in data.decode(errors="replace").split("\n\n"):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+): *(.*)$", block))
        if fields.get("Package") and " installed" in fields.get("Status", " installed"):
            distro = f"{system.get('ID', 'debian')}-{system.get('VERSION_ID', '')}".rstrip("-")
            yield _purl(
                "deb", system.get("ID", "debian"), fields["Package"], fields.get("Version", ""),
                arch=fields.get("Architecture", ""), distro=distro, upstream=_upstream(fields),
            )  # fmt: skip


def _upstream(fields: Mapping[str, str]) -> str:
    """Return the source package, by which Debian's advisories go, where it has another name."""
    return fields.get("Source", "").split(" ")[0]


def _apk(_: str, data: bytes, system: Mapping[str, str]) -> Iterator[str]:
    for block in data.decode(errors="replace").split("\n\n"):
        fields = dict(line.split(":", 1) for line in block.split("\n") if line[1:2] == ":")
        if "P" in fields:
            distro = f"alpine-{system.get('VERSION_ID', '')}".rstrip("-")
            origin = fields.get("o", "")
            yield _purl(
                "apk", "alpine", fields["P"], fields.get("V", ""), arch=fields.get("A", ""), distro=distro,
                upstream=origin if origin != fields["P"] else "",
            )  # fmt: skip


def _python(_: str, data: bytes, __: Mapping[str, str]) -> Iterator[str]:
    said = HeaderParser().parsestr(data.decode(errors="replace"))
    if said.get("Name"):
        yield _purl(
            "pypi", "", re.sub(r"[-_.]+", "-", str(said["Name"])).lower(), str(said.get("Version", ""))
        )


def _node(_: str, data: bytes, __: Mapping[str, str]) -> Iterator[str]:
    said = mapping(orjson.loads(data))
    name, version = said.get("name"), said.get("version")
    if isinstance(name, str) and isinstance(version, str) and name:
        space, _, bare = name.rpartition("/")
        yield _purl("npm", space, bare, version)


def _jar(path: str, data: bytes, _: Mapping[str, str]) -> Iterator[str]:
    found = False
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for one in archive.infolist()[:_MAX_MEMBERS]:
            if one.filename.endswith("/pom.properties") and one.file_size <= _MAX_POM:
                pairs = (
                    line.partition("=") for line in archive.read(one).decode(errors="replace").splitlines()
                )
                said = {key.strip(): value.strip() for key, _, value in pairs}
                if said.get("artifactId") and said.get("version"):
                    found = True
                    yield _purl("maven", said.get("groupId", ""), said["artifactId"], said["version"])
    named = _JAR.match(path.rpartition("/")[2])
    if not found and named:
        yield _purl("maven", "", named["name"], named["version"])


def _rpm(_: str, data: bytes, system: Mapping[str, str]) -> Iterator[str]:
    with sqlite3.connect(":memory:") as base:
        base.execute("PRAGMA trusted_schema = OFF")
        base.set_progress_handler(lambda: 1, _STEPS)  # what is called a table may be a view without end
        base.deserialize(data)
        for (blob,) in base.execute("SELECT blob FROM Packages LIMIT 200000"):
            said = _header(bytes(blob))
            if said.get("name") and said["name"] != "gpg-pubkey":
                version = f"{said.get('version', '')}-{said.get('release', '')}"
                yield _purl(
                    "rpm", system.get("ID", ""), said["name"], version, arch=said.get("arch", ""),
                    epoch=said.get("epoch", ""),
                    distro=f"{system.get('ID', '')}-{system.get('VERSION_ID', '')}".strip("-"),
                )  # fmt: skip
    base.close()


def _header(blob: bytes) -> dict[str, str]:
    """Read an RPM header as the database holds it: two counts, the index, the store."""
    count, size = struct.unpack_from(">II", blob)
    store = 8 + 16 * count
    found: dict[str, str] = {}
    if store + size > len(blob):
        raise ValueError("a header that is cut off")
    for number in range(count):
        tag, form, at, _ = struct.unpack_from(">IIII", blob, 8 + 16 * number)
        if tag in _RPM and form in _STRING:
            end = blob.index(b"\0", store + at)
            found[_RPM[tag]] = blob[store + at : end].decode(errors="replace")
        elif tag in _RPM and form == _INT:
            found[_RPM[tag]] = str(struct.unpack_from(">I", blob, store + at)[0])
    return found


_READERS: Final = {"dpkg": _dpkg, "apk": _apk, "rpm": _rpm, "python": _python, "node": _node, "jar": _jar}
