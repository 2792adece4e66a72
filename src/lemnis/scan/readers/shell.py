"""What shell text does, as far as checks ask: by patterns, in time that is linear in its length."""

from __future__ import annotations

from typing import Final

import re2

from lemnis.contracts.ids import Json

_FACTS: Final = {
    "pipes_download": (
        r"(?i)\b(?:curl|wget|fetch)\b[^\n|;&]*\|\s*(?:sudo\s+(?:-\S+\s+)*)?(?:env\s+)?(?:/\S*/)?"
        r"(?:ba|z|da|k)?sh\b|(?i)\b(?:curl|wget)\b[^\n|;&]*\|\s*(?:sudo\s+)?(?:/\S*/)?(?:python|perl|ruby|node)\S*"
        r"|(?i)\b(?:ba|z|da)?sh\s+(?:-c\s+)?[\"']?(?:<\(|\$\(|`)\s*(?:curl|wget)\b"
        r"|(?i)\b(?:source|eval|\.)\s+[\"']?(?:<\(|\$\(|`)\s*(?:curl|wget)\b"
        r"|(?i)\biex\b[^\n]{0,40}\b(?:irm|iwr|invoke-webrequest|downloadstring)\b"
    ),
    "sudo": r"(?:^|[\s;&|(])sudo\s",
    "no_tls_check": (
        r"(?:^|\s)curl\b[^\n;|&]{0,500}\s(?:-[a-zA-Z]*k[a-zA-Z]*|--insecure)(?:\s|$)|--no-check-certificate"
        r"|(?i)\bNODE_TLS_REJECT_UNAUTHORIZED=[\"']?0|strict-ssl\s+false|http\.sslVerify[ =]false"
        r"|--trusted-host"
        r"|GIT_SSL_NO_VERIFY=(?:1|true)"
    ),
    "unsigned_packages": (
        r"--allow-unauthenticated|--force-yes|--no-gpg-checks|--nogpgcheck|--allow-untrusted|trusted=yes"
    ),
    "world_writable": r"\bchmod\s+(?:-[a-zA-Z]+\s+)*(?:0?777|a\+rwx|ugo\+rwx)\b",
    "password_on_command_line": (
        r"(?:^|\s)(?:mysql|mysqldump|mariadb)\b[^\n]{0,300}\s-p[^\s$\"'-][^\s$]{2,}|\becho\s+[\"']?root:[^$\s\"']{3,}[^|\n]{0,80}\|\s*chpasswd"
        r"|\bcurl\b[^\n]{0,300}\s-u\s+[\"']?\w+:[^$\s\"'{]{3,}|\bsshpass\s+-p\s*[\"']?[^$\s\"']{2,}"
    ),
    "docker_socket": r"/var/run/docker\.sock",
    "writes_job_files": r">>\s*[\"']?(?:\$\{?GITHUB_(?:ENV|PATH)\}?)",
    "sends_environment": r"(?:^|[\s|;&(])(?:env|printenv|export -p|set)\s*\|\s*(?:base64|curl|nc|xxd|gzip)",
}
_COMPILED: Final = {name: re2.compile(f"(?m){pattern}") for name, pattern in _FACTS.items()}
_LONGEST = 200_000


def facts(text: str) -> dict[str, Json]:
    """Return what a script does: the facts that hold, by name (``pipes_download``, ``sudo`` …)."""
    joined = "\n".join(
        line for line in text[:_LONGEST].replace("\\\n", " ").split("\n") if not line.lstrip().startswith("#")
    )
    return {name: True for name, pattern in _COMPILED.items() if pattern.search(joined)}
