"""Sigstore: bundles verified by a trust root, without a network, and keyless signing. An extra.

The library verifies the certificate's chain and its entry in a certificate log, the inclusion of the
signature in a transparency log with the log's signed checkpoint, the time of signing, and the signature.
Whom we believe is decided afterwards, in ``lemnis.graph.identities``.
"""

from __future__ import annotations

import logging

import orjson
from cryptography import x509
from sigstore.dsse import Statement
from sigstore.models import Bundle, ClientTrustConfig, SigningConfig, TrustedRoot
from sigstore.oidc import IdentityToken, detect_credential
from sigstore.sign import SigningContext
from sigstore.verify import Verifier

from lemnis.contracts.errors import ContentError, IntegrityError, Location, ServiceError
from lemnis.graph import identities
from lemnis.graph.builds import at, objects
from lemnis.graph.envelopes import PAYLOAD_TYPE, Envelope
from lemnis.graph.identities import Claims

PUBLIC = "public"
"""Instead of a file: the public good instance, as the installed library knows it."""

logging.getLogger("sigstore").setLevel(logging.ERROR)  # it warns of being without a network, which is asked

# The library reads what strangers wrote and talks to their services, through four others. Whatever any of
# them raises, what was asked of it did not happen: hence the wide nets below, which all end in an error.


def verify(envelope: Envelope, root: TrustedRoot) -> Claims:
    """Verify a bundle, whoever signed it, and return what its certificate says; raises IntegrityError."""
    entries = objects(at(orjson.loads(envelope.bundle), "verificationMaterial"), "tlogEntries")
    if any(at(one, "kindVersion").get("kind") == "intoto" for one in entries):
        raise IntegrityError("the bundle: its log entry is of the old kind `intoto`, which is not verified")
    seen: list[x509.Certificate] = []
    try:
        bundle = Bundle.from_json(envelope.bundle)
        kind, payload = Verifier(trusted_root=root).verify_dsse(bundle, _Seen(seen))
        claims = identities.read(seen[0])
    except Exception as error:
        raise IntegrityError(f"the bundle: {_words(error)}") from error
    if (kind, payload) != (PAYLOAD_TYPE, envelope.payload):
        raise IntegrityError("the bundle: what is signed is not the payload")
    return claims


class _Seen:
    """A policy of the library's that keeps the certificate."""

    def __init__(self, seen: list[x509.Certificate]) -> None:
        self._seen = seen

    def verify(self, cert: x509.Certificate) -> None:
        self._seen.append(cert)


def trusted_root(file: str, at: Location | None = None, *, fresh: bool = False) -> TrustedRoot:
    """Read a trusted root: a file, or ``public`` (``fresh``: as the internet has it now).

    Raises ContentError for one that is none.
    """
    try:
        root = (
            ClientTrustConfig.production(offline=not fresh).trusted_root
            if file == PUBLIC
            else TrustedRoot.from_file(file)
        )
        root.get_fulcio_certs()
    except Exception as error:
        raise ContentError(
            f"no trusted root of Sigstore: {_words(error)}", at=at or Location(file)
        ) from error
    return root


def signing_config(file: str, at: Location | None = None) -> SigningConfig:
    """Read a signing configuration: a file, or ``public``, which is asked for on the internet.

    Raises ContentError for one that is none.
    """
    try:
        return (
            ClientTrustConfig.production().signing_config if file == PUBLIC else SigningConfig.from_file(file)
        )
    except Exception as error:
        raise ContentError(
            f"no signing configuration of Sigstore: {_words(error)}", at=at or Location(file)
        ) from error


def sign(payload: bytes, token: str, root: TrustedRoot, config: SigningConfig) -> bytes:
    """Sign a statement with the identity of an OIDC token; return the bundle (v0.3 JSON).

    Asks the certificate authority for a certificate of the identity and has the signature written into the
    transparency log, where both stay for everybody to read. Raises ServiceError if that fails, or the token
    is none.
    """
    try:
        context = SigningContext(
            fulcio=config.get_fulcio(), rekor=config.get_tlogs()[0], trusted_root=root,
            tsa_clients=config.get_tsas(),
        )  # fmt: skip
        with context.signer(IdentityToken(token)) as signer:
            return signer.sign_dsse(Statement(payload)).to_json().encode()
    except Exception as error:
        raise ServiceError(
            f"Sigstore did not sign: {_words(error)}",
            fix="are its services reachable, and is the identity token fresh?",
        ) from error


def ambient_token() -> str:
    """Return the identity token that this machine's surroundings give, as CI does; empty if there is none.

    Raises ServiceError where there should be one and it cannot be had.
    """
    try:
        return detect_credential() or ""
    except Exception as error:
        raise ServiceError(f"no identity token: {_words(error)}", fix="GitHub: `id-token: write`") from error


def _words(error: Exception) -> str:
    """Return what a library says is wrong, on one line."""
    said = " ".join(str(error).split())[:300]
    return said or type(error).__name__
