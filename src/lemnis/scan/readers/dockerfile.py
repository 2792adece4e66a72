"""Dockerfiles as resources: the file, each FROM, each other instruction (Dockerfile reference, BuildKit)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lemnis.contracts.findings import Place
from lemnis.contracts.resources import UNKNOWN, Resource, Steps
from lemnis.scan.readers import Read, shell
from lemnis.scan.readers.credentials import held, secret_name
from lemnis.scan.readers.images import parts

_HEREDOC = re.compile(r"<<-?\s*[\"']?([A-Za-z_]\w*)[\"']?")
_ESCAPE = re.compile(r"^#\s*escape\s*=\s*([\\`])\s*$", re.IGNORECASE)
_FLAG = re.compile(r"^--([a-z-]+)(?:=(\S*))?\s+")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?([-+])([^}]*))?\}|(\w+))")
_PAIR = re.compile(r"([A-Za-z_][\w.-]*)=(\"(?:[^\"\\]|\\.)*\"|'[^']*'|(?:[^\s\\]|\\.)*)")
_SENSITIVE = re.compile(
    r"(?:^|/)(?:\.ssh(?:/|$)|\.aws(?:/|$)|\.kube(?:/|$)|\.env$|\.netrc$|\.npmrc$|\.pypirc$|\.git-credentials$|"
    r"\.docker/config\.json$|id_(?:rsa|dsa|ecdsa|ed25519)$|[^/]*\.(?:pem|pfx|p12|jks|keystore)$|kubeconfig$)"
)
_KNOWN = frozenset(
    {
        "FROM", "RUN", "CMD", "LABEL", "MAINTAINER", "EXPOSE", "ENV", "ADD", "COPY", "ENTRYPOINT", "VOLUME",
        "USER", "WORKDIR", "ARG", "ONBUILD", "STOPSIGNAL", "HEALTHCHECK", "SHELL",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word in capitals, flags, the rest as text, first and last line (from 1)."""

    word: str
    flags: Mapping[str, str]
    text: str
    line: int
    end: int


def read(text: str, path: str) -> Read:
    """Read a Dockerfile; lines that are no instruction are errors."""
    errors: list[str] = []
    found: list[Instruction] = []
    for one in instructions(text):
        if one.word in _KNOWN:
            found.append(one)
        else:
            errors.append(f"{path}:{one.line}: {one.word[:40]!r} is no instruction")
    if not any(one.word == "FROM" for one in found):
        return Read((), (*errors, f"{path}: no FROM"))
    return Read(tuple(_resources(found, path)), tuple(errors))


def instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions: lines put together, comments left out, here-documents taken in."""
    lines = text.split("\n")
    escape = "\\"
    for line in lines[:3]:
        if found := _ESCAPE.match(line):
            escape = found.group(1)
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        first = number = number + 1
        if not line or line.startswith("#"):
            continue
        whole = [line]
        while whole[-1].endswith(escape) and number < len(lines):
            whole[-1] = whole[-1][:-1]
            following = lines[number].strip()
            number += 1
            whole.append(f"{escape}" if following.startswith("#") or not following else following)
        words = " ".join(part.rstrip(escape) if part == escape else part for part in whole)
        for end in _HEREDOC.findall(words) if re.match(r"(?i)(RUN|COPY|ADD)\b", words) else ():
            body = []
            while number < len(lines) and lines[number].strip() != end:
                body.append(lines[number])
                number += 1
            number += 1
            words = "\n".join([words, *body])
        word, _, rest = words.partition(" ")
        flags, rest = _flags(rest.strip())
        yield Instruction(word.upper(), flags, rest, first, min(number, len(lines)))


def _flags(rest: str) -> tuple[dict[str, str], str]:
    flags: dict[str, str] = {}
    while found := _FLAG.match(rest):
        flags[found.group(1)] = found.group(2) or ""
        rest = rest[found.end() :]
    return flags, rest


def expand(text: str, known: Mapping[str, str]) -> str:
    """Put in the values of variables; the whole is ``UNKNOWN`` where one has none."""
    missing = False

    def one(found: re.Match[str]) -> str:
        nonlocal missing
        name, sign, word = found.group(1) or found.group(4), found.group(2), found.group(3)
        if sign == "+":
            return word if name in known else ""
        if name in known:
            return known[name]
        if sign == "-":
            return str(word)
        missing = True
        return ""

    said = _VARIABLE.sub(one, text)
    return UNKNOWN if missing else said


@dataclass(slots=True)
class _Stage:
    alias: str
    user: str
    base: str
    line: int


def _resources(found: list[Instruction], path: str) -> Iterator[Resource]:
    known: dict[str, str] = {}
    stages: list[_Stage] = []
    health, user_line = False, 0
    for one in found:
        if one.word == "ARG" and not stages:
            known |= {name: value for name, value in pairs(one) if value}
        if one.word == "FROM":
            words = one.text.split()
            image = expand(words[0], known) if words else ""
            alias = words[2].lower() if len(words) > 2 and words[1].lower() == "as" else ""  # noqa: PLR2004 - IMAGE as NAME
            before = next(
                (s for s in stages if s.alias == image.lower() or str(stages.index(s)) == image), None
            )
            user = before.user if before else ""
            stages.append(_Stage(alias, user, before.base if before else image, one.line))
            user_line = one.line
            if before is None:
                yield _from(image, one, path)
        elif one.word == "USER" and stages:
            stages[-1].user, user_line = expand(one.text.split(" ")[0], {}), one.line
        elif one.word == "HEALTHCHECK":
            health = one.text.strip().upper() != "NONE"
        yield from _instruction(one, path)
    last = stages[-1]
    user = last.user.split(":")[0]
    if not user and "nonroot" in last.base:
        user = "nonroot"  # bases that say so run as an account of their own
    ways: list[Steps] = [("user",)] if user == UNKNOWN or (not user and last.base == UNKNOWN) else []
    data: dict[str, Any] = {"user": UNKNOWN if ways else user, "healthcheck": health, "stages": len(stages)}
    lines: dict[Steps, tuple[int, int]] = {(): (last.line, 1), ("user",): (user_line, 1)}
    yield Resource("dockerfile", path, Place(path, last.line, 1), data, tuple(ways), lines)


def _from(image: str, one: Instruction, path: str) -> Resource:
    place = Place(path, one.line, 1)
    if image == UNKNOWN:
        return Resource("dockerfile.from", one.text, place, {"image": UNKNOWN}, ((),))
    return Resource("dockerfile.from", image, place, {"image": image, **parts(image)})


def _instruction(one: Instruction, path: str) -> Iterator[Resource]:
    if one.word in {
        "FROM",
        "LABEL",
        "MAINTAINER",
        "WORKDIR",
        "STOPSIGNAL",
        "VOLUME",
        "SHELL",
        "USER",
        "HEALTHCHECK",
    }:
        return
    data: dict[str, Any] = {"word": one.word}
    unknown: list[Steps] = []
    if one.word in {"RUN", "CMD", "ENTRYPOINT", "ONBUILD"}:
        data["shell"] = shell.facts(_command(one.text))
        data["mounts_secret"] = "secret" in one.flags.get("mount", "")
    elif one.word in {"ENV", "ARG"}:
        found = pairs(one)
        data["variables"] = [
            {"name": name, "what": held(name, value), "secret_name": secret_name(name)}
            for name, value in found
        ]
    elif one.word in {"ADD", "COPY"}:
        said = words(one.text)
        sources = said[:-1]
        data["remote"] = any(re.match(r"(?i)(https?|ftp)://|git@", word) for word in sources)
        data["plain_http"] = any(word.lower().startswith("http://") for word in sources)
        data["verified"] = "checksum" in one.flags
        data["archive"] = any(re.search(r"\.(?:tar|tgz|tar\.\w+|txz|tbz2?)$", word) for word in sources)
        data["from_stage"] = "from" in one.flags
        data["sensitive"] = [word for word in sources if _SENSITIVE.search(word)]
        if any("$" in word for word in sources):
            unknown = [("remote",), ("plain_http",), ("sensitive",), ("archive",)]
            data |= {str(way[0]): UNKNOWN for way in unknown}
    elif one.word == "EXPOSE":
        ports = [expand(word, {}).split("/")[0] for word in one.text.split()]
        data["ports"] = ports
        unknown += [("ports", number) for number, port in enumerate(ports) if port == UNKNOWN]
    yield Resource(
        "dockerfile.instruction",
        f"{one.word} in line {one.line}",
        Place(path, one.line, 1),
        data,
        tuple(unknown),
    )


def pairs(one: Instruction) -> list[tuple[str, str]]:
    """Return the names and values that ENV or ARG gives."""
    found = [(name, value.strip("\"'")) for name, value in _PAIR.findall(one.text)]
    if found:
        return found
    name, _, value = one.text.strip().partition(" ")
    return [(name, value.strip())] if name else []


def _command(text: str) -> str:
    """Return a command as shell text, also where it is given as a list."""
    if text.startswith("["):
        try:
            words = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
        return " ".join(map(str, words)) if isinstance(words, list) else text
    return text


def words(text: str) -> list[str]:
    """Return the words of COPY or ADD: sources, then where they go."""
    if text.startswith("["):
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            return text.split()
        return [str(word) for word in said] if isinstance(said, list) else text.split()
    return text.split("\n", 1)[0].split()
