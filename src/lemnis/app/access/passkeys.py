"""Passkeys (WebAuthn Level 2): a key of a device in the place of password and code.

A passkey proves whose it is and that the device asked them (user verification), so it is enough alone.
Challenges are random, count once and for five minutes. The counter of a key may not go back: that is a copy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from lemnis.app.access import secret, signing
from lemnis.app.access.service import Access
from lemnis.app.access.signing import SignedIn
from lemnis.contracts.errors import AccessError, NotFoundError, RefusedError, UsageError
from lemnis.store.access import Account, Passkey

_KIND = "passkey"
_LASTS_MS = 5 * 60_000
_MOST = 20
LONGEST = 100
"""How long a passkey's name may be."""
Site = tuple[str, str]
"""The host name that keys are bound to, and the origin that pages of it have."""


def begin(access: Access, account: Account, site: Site) -> dict[str, Any]:
    """Return what a browser makes a passkey by (``PublicKeyCredentialCreationOptions``)."""
    known = access.tables.passkeys(account.id)
    if len(known) >= _MOST:
        raise RefusedError(f"{account.name} has {_MOST} passkeys", fix="drop some")
    options = webauthn.generate_registration_options(
        rp_id=site[0], rp_name="Lemnis", user_name=account.name, user_id=account.id.encode(),
        challenge=_challenge(access, account.id),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.id)) for one in known],
    )  # fmt: skip
    return dict(orjson.loads(options_to_json(options)))


def add(access: Access, account: Account, site: Site, answer: dict[str, Any], name: str) -> Passkey:
    """Keep a passkey that a browser made; raises AccessError where it does not hold."""
    try:
        made = webauthn.verify_registration_response(
            credential=answer, expected_challenge=_taken(access, answer, account.id), expected_rp_id=site[0],
            expected_origin=site[1], require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise AccessError(f"the passkey does not hold: {error}", fix="begin anew") from error
    key = Passkey(
        bytes_to_base64url(made.credential_id), account.id, name.strip()[:LONGEST] or "passkey",
        bytes_to_base64url(made.credential_public_key), made.sign_count, access.clock.now(),
    )  # fmt: skip
    if access.tables.passkey(key.id) is not None:
        raise RefusedError("this passkey is known already", fix="take another device")
    access.tables.put_passkey(key)
    access.tell("passkey_added", account.id, actor=account.name, reason=key.name)
    return key


def ask(access: Access, site: Site) -> dict[str, Any]:
    """Return what a browser proves a passkey by (``PublicKeyCredentialRequestOptions``), whosesoever."""
    options = webauthn.generate_authentication_options(
        rp_id=site[0], challenge=_challenge(access, ""),
        user_verification=UserVerificationRequirement.REQUIRED,
    )  # fmt: skip
    return dict(orjson.loads(options_to_json(options)))


def sign_in(access: Access, site: Site, answer: dict[str, Any], *, address: str, agent: str = "") -> SignedIn:
    """Sign in whoever proves a passkey; raises AccessError where it does not hold, BusyError too often."""
    signing.patience(access, "", address)
    try:
        return _signed_in(access, site, answer, address, agent)
    except AccessError:
        signing.fail(access, "", address)
        raise


def rename(access: Access, account: Account, passkey: str, name: str) -> Passkey:
    """Call a passkey of an account something else; raises NotFoundError, UsageError for no name."""
    key = access.tables.passkey(passkey)
    if key is None or key.account != account.id:
        raise NotFoundError("no such passkey of yours")
    called = " ".join(name.split())[:LONGEST]
    if not called:
        raise UsageError("a passkey needs a name", fix="say which device it is of")
    renamed = replace(key, name=called)
    access.tables.put_passkey(renamed)
    access.tell("passkey_renamed", account.id, actor=account.name, reason=f"{key.name}: {called}")
    return renamed


def drop(access: Access, account: Account, passkey: str) -> None:
    """Forget a passkey of an account; raises NotFoundError."""
    if not access.tables.drop_passkey(passkey, account.id):
        raise NotFoundError("no such passkey of yours")
    access.tell("passkey_dropped", account.id, actor=account.name)


def _signed_in(access: Access, site: Site, answer: dict[str, Any], address: str, agent: str) -> SignedIn:
    wrong = AccessError("the passkey is not known here, or does not hold")
    name = answer.get("id")
    key = access.tables.passkey(name) if isinstance(name, str) else None
    account = access.tables.account(id=key.account) if key is not None else None
    if key is None or account is None or account.disabled:
        raise wrong
    try:
        proven = webauthn.verify_authentication_response(
            credential=answer, expected_challenge=_taken(access, answer, ""), expected_rp_id=site[0],
            expected_origin=site[1], credential_public_key=base64url_to_bytes(key.key),
            credential_current_sign_count=key.count, require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise wrong from error
    access.tables.put_passkey(replace(key, count=proven.new_sign_count, used=access.clock.now()))
    return signing.begin(access, account, "passkey", address=address, agent=agent)


def _challenge(access: Access, account: str) -> bytes:
    challenge, now = access.random(32), access.clock.now()
    known = secret.known_as(bytes_to_base64url(challenge), _KIND)
    access.tables.put_once(known, _KIND, {"account": account}, until=now + _LASTS_MS, now=now)
    return challenge


def _taken(access: Access, answer: dict[str, Any], account: str) -> bytes:
    """Return the challenge that an answer is to, if we gave it for this and it was not answered yet."""
    said = orjson.loads(base64url_to_bytes(answer["response"]["clientDataJSON"]))
    challenge = str(said["challenge"])
    given = access.tables.take_once(secret.known_as(challenge, _KIND), _KIND, access.clock.now())
    if given is None or given["account"] != account:
        raise ValueError("the challenge is none of ours, or was answered")
    return base64url_to_bytes(challenge)
