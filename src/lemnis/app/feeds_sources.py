"""Where data comes from: a folder, a file, a zip or an address, given out as files; everything is bounded."""

from __future__ import annotations

import gzip
import ipaddress
import os
import socket
import time
import zipfile
import zlib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urljoin, urlsplit

from lemnis.contracts.errors import InputError, Location, RecordError, RefusedError, ServiceError

if TYPE_CHECKING:
    import httpx

MAX_FILE: Final = 200_000_000
"""Bytes of one file, unpacked."""
MAX_WHOLE: Final = 20_000_000_000
"""Bytes of everything, unpacked."""
MAX_DOWNLOAD: Final = 4_000_000_000
_SECONDS: Final = 1800.0
_REDIRECTS: Final = 3
_HEADERS: Final = {"User-Agent": "lemnis", "Accept-Encoding": "identity"}
_STEP: Final = 1 << 20


def files(source: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes | RecordError]]:
    """Yield the files of a folder, a zip or a single file, by name, with their bytes (unpacked, if ``.gz``).

    Those of other endings are left out, links are not followed. What is too large or damaged is an error
    under its name. Raises InputError where there is nothing, or more than ``MAX_WHOLE`` bytes.
    """
    total = 0
    for name, data in _each(source, endings):
        total += len(data) if isinstance(data, bytes) else 0
        if total > MAX_WHOLE:
            raise InputError(f"more than {MAX_WHOLE:,} bytes unpacked", at=Location(str(source)))
        yield name, data


def _each(source: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes | RecordError]]:
    if source.is_dir():
        for root, folders, names in os.walk(source):
            folders[:] = sorted(one for one in folders if one != ".git")
            for name in sorted(names):
                path = Path(root) / name
                if not path.is_symlink() and path.is_file() and name.lower().endswith((*endings, ".zip")):
                    yield from _one(path, endings)
    elif source.is_file():
        yield from _one(source, endings)
    else:
        raise InputError("no such file or folder", at=Location(str(source)))


def _one(path: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes | RecordError]]:
    if zipfile.is_zipfile(path):
        yield from _zipped(path, endings)
    elif path.stat().st_size > MAX_FILE:
        yield str(path), RecordError(f"more than {MAX_FILE:,} bytes", at=Location(str(path)))
    else:
        yield str(path), _plain(path.read_bytes(), str(path))


def _zipped(path: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes | RecordError]]:
    """Yield the members; what they say of their size is not believed."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir() or not member.filename.lower().endswith(endings):
                    continue
                name = f"{path}!{member.filename}"
                try:
                    with archive.open(member) as stream:
                        data = stream.read(MAX_FILE + 1)
                except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
                    yield name, RecordError(f"cannot be unpacked: {error}", at=Location(name))
                    continue
                if len(data) > MAX_FILE:
                    yield name, RecordError(f"more than {MAX_FILE:,} bytes unpacked", at=Location(name))
                else:
                    yield name, _plain(data, name)
    except zipfile.BadZipFile as error:
        raise InputError(f"no zip: {error}", at=Location(str(path))) from error


def _plain(data: bytes, name: str) -> bytes | RecordError:
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        made = unpacker.decompress(data, MAX_FILE + 1)
    except (zlib.error, gzip.BadGzipFile) as error:
        return RecordError(f"cannot be unpacked: {error}", at=Location(name))
    if len(made) > MAX_FILE:
        return RecordError(f"more than {MAX_FILE:,} bytes unpacked", at=Location(name))
    return made if unpacker.eof else RecordError("the file ends too early", at=Location(name))


def download(url: str, target: Path) -> None:
    """Fetch an address into a file: HTTPS (plain HTTP on this machine only), bounded in size and time.

    A redirect may lead to another public server, never to an address within a network nor to plain HTTP.
    Raises InputError for what is no such address, RefusedError for a redirect that is not followed,
    ServiceError where nothing usable comes.
    """
    import httpx

    end = time.monotonic() + _SECONDS
    _check_scheme(url)
    try:
        with (
            httpx.Client(follow_redirects=False, trust_env=False, timeout=30) as client,
            target.open("wb") as file,
        ):
            for _ in range(_REDIRECTS + 1):
                with client.stream("GET", url, headers=_HEADERS) as answer:
                    if not answer.is_redirect:
                        _take(answer, file, url, end)
                        return
                    url = _redirected(url, answer.headers.get("location", ""))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fix = "fetch it elsewhere and give the file: --from FILE"
        raise ServiceError(f"{type(error).__name__}: {error}", at=Location(url), fix=fix) from error
    raise ServiceError(f"more than {_REDIRECTS} redirects", at=Location(url))


def _take(answer: httpx.Response, file: BinaryIO, url: str, end: float) -> None:
    if answer.status_code != HTTPStatus.OK:
        raise ServiceError(f"answered {answer.status_code}", at=Location(url), fix="check the address")
    size = 0
    for chunk in answer.iter_raw(_STEP):
        size += len(chunk)
        if size > MAX_DOWNLOAD or time.monotonic() > end:
            what = (
                f"more than {MAX_DOWNLOAD:,} bytes" if size > MAX_DOWNLOAD else f"not done in {_SECONDS:g} s"
            )
            raise ServiceError(what, at=Location(url))
        file.write(chunk)


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if (
        parts.scheme == "http"
        and parts.hostname
        and all(one.is_loopback for one in _addresses(parts.hostname))
    ):
        return
    raise InputError("no HTTPS address", at=Location(url), fix="https://… or a file")


def _redirected(url: str, location: str) -> str:
    """Return where a redirect leads; raises RefusedError for an address that it may not lead to."""
    target = urljoin(url, location)
    parts = urlsplit(target)
    if not location or parts.scheme != "https" or not parts.hostname:
        raise RefusedError("redirected to what is no HTTPS address", at=Location(url))
    if parts.hostname != urlsplit(url).hostname and not all(
        one.is_global for one in _addresses(parts.hostname)
    ):
        raise RefusedError(f"redirected into a network ({parts.hostname})", at=Location(url))
    return target


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServiceError(f"{host} is not known: {error}", at=Location(host)) from error
    return [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
