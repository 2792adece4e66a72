"""Whom we believe when a Sigstore bundle is signed: issuer, identity and repository of its certificate.

The claims in a certificate are those of Fulcio's OID table (1.3.6.1.4.1.57264.1). What is verified of the
bundle itself is in ``lemnis.graph.sigstore``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat import asn1

from lemnis.contracts.errors import IntegrityError, Location
from lemnis.graph.attestation import Signed
from lemnis.graph.builds import address
from lemnis.graph.envelopes import Envelope

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

FIX = "pip install 'lemnis[sigstore]'"
_FULCIO = "1.3.6.1.4.1.57264.1"
_ISSUER_OLD, _OTHER_NAME, _ISSUER, _REPOSITORY, _COMMIT = 1, 7, 8, 12, 13


@dataclass(frozen=True, slots=True)
class Claims:
    """What a certificate says: issuer of the identity, its names, source repository and commit of a build."""

    issuer: str
    names: tuple[str, ...]
    source: str = ""
    commit: str = ""

    def __str__(self) -> str:
        """Say it in words."""
        built = f", building {self.source}" if self.source else ""
        return f"{', '.join(self.names)} ({self.issuer}){built}"[:400]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is believed: the certificate's issuer and identity (``*`` stands for any text).

    ``repositories`` are those that it may build from, ``parameters`` what it must have been asked for;
    ``builder`` is the builder for whom it speaks, by default the one of its own name.
    """

    issuer: str
    subject: str
    repositories: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    builder: str = ""

    def named(self, claims: Claims) -> str:
        """Return the name in a certificate that is this identity's; empty if none is."""
        elsewhere = claims.source and address(claims.source) not in map(address, self.repositories)
        if claims.issuer != self.issuer or (self.repositories and elsewhere):
            return ""
        wanted = re.compile(".*".join(map(re.escape, self.subject.split("*"))), re.DOTALL)
        return next((name for name in claims.names if wanted.fullmatch(name)), "")


class Bundles:
    """The signer of Sigstore bundles: whoever is one of the identities, by a trust root."""

    def __init__(self, identities: Sequence[Identity], root: str, at: Location | None = None) -> None:
        """``root`` is a trusted root's file (or ``public``), read when first needed; ``at`` names it."""
        self.identities = tuple(identities)
        self._root, self._at = root, at
        self._trusted: TrustedRoot | None = None

    def signed(self, envelope: Envelope) -> Signed | None:
        """Return the signature of a bundle; None for what is none.

        Raises IntegrityError if it does not hold, is by none of the identities, or cannot be looked at here;
        ContentError for a trusted root that is none.
        """
        if not envelope.bundle:
            return None
        try:
            from lemnis.graph import sigstore  # noqa: PLC0415 - an extra, and slow to load
        except ImportError as error:
            raise IntegrityError(f"the bundle cannot be verified here: {FIX}") from error
        if self._trusted is None:
            self._trusted = sigstore.trusted_root(self._root, self._at)
        claims = sigstore.verify(envelope, self._trusted)
        for one in self.identities:
            if name := one.named(claims):
                return Signed(
                    one.builder or name, f"{name} ({claims.issuer})", one.repositories, one.parameters,
                    claims.source, claims.commit,
                )  # fmt: skip
        raise IntegrityError(f"the bundle: {claims} is none of the identities that are trusted")


def read(certificate: x509.Certificate) -> Claims:
    """Read the claims of a certificate; raises ValueError or x509's errors for one that has none."""
    said = {
        one.oid.dotted_string: one.value.value
        for one in certificate.extensions
        if isinstance(one.value, x509.UnrecognizedExtension)
    }
    issuer = _text(said, _ISSUER) or said.get(f"{_FULCIO}.{_ISSUER_OLD}", b"").decode()
    names = tuple(_names(certificate))
    return Claims(issuer, names, _text(said, _REPOSITORY), _text(said, _COMMIT))


def _names(certificate: x509.Certificate) -> Iterator[str]:
    """Yield the identities that a certificate is for: addresses of mail, URIs, Sigstore's other names."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    yield from names.get_values_for_type(x509.RFC822Name)
    yield from names.get_values_for_type(x509.UniformResourceIdentifier)
    for other in names.get_values_for_type(x509.OtherName):
        if other.type_id.dotted_string == f"{_FULCIO}.{_OTHER_NAME}":
            yield asn1.decode_der(str, other.value)


def _text(said: Mapping[str, bytes], number: int) -> str:
    value = said.get(f"{_FULCIO}.{number}", b"")
    return asn1.decode_der(str, value) if value else ""
