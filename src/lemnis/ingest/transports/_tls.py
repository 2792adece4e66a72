"""TLS of a listener: version 1.2 at least, client certificates asked for where the settings say so."""

from __future__ import annotations

import ssl
from fnmatch import fnmatchcase
from typing import Any

import pydantic

from lemnis.content.schemas import Model
from lemnis.contracts.errors import UsageError
from lemnis.ingest.transports import Setup


class Tls(Model):
    """PEM files: the certificate with its chain, its key, and the authorities of clients.

    With ``client_ca`` a client must have a certificate that leads to it, and with ``peers`` one of these
    names (globs) as its DNS name, address or common name (RFC 5425, section 5.2).
    """

    certificate: str = pydantic.Field(min_length=1)
    key: str = pydantic.Field(min_length=1)
    client_ca: str = ""
    peers: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _peers_are_known(self) -> Tls:
        if self.peers and not self.client_ca:
            raise ValueError(
                "`peers` needs `client_ca`: names in certificates that anybody made mean nothing"
            )
        return self


def context(tls: Tls, setup: Setup) -> ssl.SSLContext:
    """Return a server's context; raises UsageError for files that do not fit."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(setup.path(tls.certificate), setup.path(tls.key), password="")  # never asks
        if tls.client_ca:
            made.load_verify_locations(setup.path(tls.client_ca))
            made.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"certificate, key or client_ca cannot be used: {error.strerror or error}",
            fix="PEM files in the workspace: a certificate with its chain, and its key without a password",
        ) from error
    return made


def client(setup: Setup, *, ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """Return a client's context; raises UsageError for files that do not fit."""
    try:
        made = ssl.create_default_context(cafile=str(setup.path(ca)) if ca else None)
        if certificate:
            made.load_cert_chain(setup.path(certificate), setup.path(key), password="")  # never asks
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"ca, certificate or key cannot be used: {error.strerror or error}",
            fix="PEM files in the workspace",
        ) from error
    return made


def admits(tls: Tls, certificate: Any) -> bool:
    """Say whether a client with this certificate (``ssl.SSLSocket.getpeercert``) may send."""
    if not tls.peers:
        return True
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for kind, value in subject if kind == "commonName"]
    names += [value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
    return any(fnmatchcase(name.lower(), one.lower()) for name in names for one in tls.peers)
