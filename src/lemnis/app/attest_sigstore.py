"""Keyless signing: what signs statements with the identity that this machine's surroundings give it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import settings
from lemnis.contracts.errors import IntegrityError, Location, ServiceError, UsageError
from lemnis.contracts.ids import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lemnis.app.attest import Sign
    from lemnis.contracts.ids import Json


def signer(workspace: app.Workspace, token_env: str = "") -> Sign:
    """Return what signs with an OIDC identity: the token in the variable ``token_env``, else the ambient one.

    What it made is verified by the instance's trust root before it is given out. Raises ServiceError without
    the extra, without a token, or where the services do not answer.
    """
    try:
        from lemnis.graph import sigstore
    except ImportError as error:
        from lemnis.graph.identities import FIX

        raise ServiceError("Sigstore needs a library that is not installed", fix=FIX) from error
    from lemnis.content.schemas.signing import Sigstore
    from lemnis.graph import envelopes

    known = settings.load(workspace).sigstore or Sigstore()
    place = Location(str(workspace.root / app.SETTINGS))
    root = sigstore.trusted_root(settings.instance(workspace, known.trusted_root), place, fresh=True)
    config = sigstore.signing_config(settings.instance(workspace, known.signing_config), place)
    if token_env and not os.environ.get(token_env):
        raise UsageError(f"the variable {token_env} is not set", fix="it holds an OIDC identity token")
    token = os.environ[token_env] if token_env else sigstore.ambient_token()
    if not token:
        raise ServiceError(
            "this machine's surroundings give no identity token",
            fix="run it in CI with an OIDC identity, or --token-env NAME, the variable with a token",
        )

    def sign(statement: Mapping[str, Json]) -> bytes:
        bundle = sigstore.sign(canonical(statement), token, root, config)
        try:
            sigstore.verify(envelopes.read(bundle, Location("bundle")), root)
        except IntegrityError as error:
            raise ServiceError(
                f"what Sigstore signed does not hold by the trust root: {error.what}"
            ) from error
        return bundle

    return sign
