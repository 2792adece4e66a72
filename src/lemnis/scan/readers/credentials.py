"""What looks like a credential: by the name that it is given, or by what it is. Values are never kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import re2

_NAME = re.compile(
    r"(?:^|[_\-.])(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_\-]?key|access[_\-]?key|private[_\-]?key"
    r"|credentials?|auth[_\-]?key|encryption[_\-]?key|signing[_\-]?key)(?:$|[_\-.])",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BESIDE = re.compile(
    r"(?:^|[_\-.])(?:file|path|dir|name|url|uri|arn|id|ttl|type|length|policy|expiry|expires|timeout|enabled|header|"
    r"ref|hash|version|audience|endpoint|mount|count|min|max|prefix)$",
    re.IGNORECASE,
)
_NO_VALUE = re.compile(
    r"^(?:|true|false|null|none|yes|no|\d{1,5}|changeme-not|x+|\*+|<.*>|\(unknown\)|.*\$.*|.*\{\{.*|.*%\(.*|"
    r"/[\w./-]+|file:.*|vault:.*|arn:.*|https?://[^@]*)$",
    re.IGNORECASE | re.DOTALL,
)
VALUES: Final = {
    "private key": r"-----BEGIN (?:RSA |EC |DSA |OPENSSH |ENCRYPTED |PGP )?PRIVATE KEY(?: BLOCK)?-----",
    "AWS access key": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "AWS secret key": r"(?i)aws_?secret_?(?:access_?)?key[\"' ]{0,3}[:=][\"' ]{0,3}[A-Za-z0-9/+]{40}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b",
    "GitLab token": r"\bgl(?:pat|rt|ptt|dt|cbt)-[A-Za-z0-9_-]{20,}\b",
    "Slack token": r"\bxox[abposr]-[0-9A-Za-z-]{20,}\b",
    "Google API key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "Stripe key": r"\b[sr]k_live_[0-9A-Za-z]{24,}\b",
    "npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "PyPI token": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}\b",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}",
    "password in an address": r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'$<>{}]{1,64}:[^\s:/@\"'$<>{}]{3,128}@[\w.-]+",
}
"""What values of a kind look like (RE2)."""
_COMPILED: Final = {kind: re2.compile(pattern) for kind, pattern in VALUES.items()}
_BYTES: Final = {kind: re2.compile(pattern.encode()) for kind, pattern in VALUES.items()}
_ANY = re2.compile(
    "|".join(f"(?:{p})" if not p.startswith("(?i)") else f"(?i:{p[4:]})" for p in VALUES.values()).encode()
)


def secret_name(name: str) -> bool:
    """Say whether a variable of this name is meant to hold a secret itself."""
    split = _CAMEL.sub("_", name)
    return bool(_NAME.search(split)) and not _BESIDE.search(split)


def literal(value: str) -> bool:
    """Say whether a value is written out: no reference, no path, nothing that only stands in for one."""
    return not _NO_VALUE.match(value.strip().strip("\"'"))


def kinds(value: str) -> list[str]:
    """Return the kinds of credentials that a text holds."""
    return [kind for kind, pattern in _COMPILED.items() if pattern.search(value)]


def held(name: str, value: str) -> str:
    """Say what a variable holds: a kind of credential, ``secret`` by its name, or nothing."""
    found = kinds(value)
    if found:
        return found[0]
    return "secret" if secret_name(name) and literal(value) else ""


def found_in(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the kinds of credentials in a file's bytes, each with the line (from 1) where it first stands."""
    if not _ANY.search(data):
        return
    for kind, pattern in _BYTES.items():
        match = pattern.search(data)
        if match:
            yield kind, data.count(b"\n", 0, match.start()) + 1
