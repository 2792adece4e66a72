"""Whose Sigstore signatures are believed, and what the labels of images mean: parts of ``lemnis.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from lemnis.content.schemas import Model

Subject = Annotated[str, pydantic.Field(min_length=1, max_length=1000, pattern=r"[^*]")]
"""The identity in a certificate: `*` is any text, and something beside it is fixed."""
LabelFact = Literal[
    "source", "revision", "created", "base_name", "base_digest", "builder", "invocation"
]  # fmt: skip
"""What of a build a label repeats."""


class SignerIdentity(Model):
    """Somebody whose keyless signatures are believed: issuer and identity as Fulcio's certificates have them.

    ``subject`` is a workflow's address, a mail address or a URI; ``*`` in it stands for any text. With
    ``repositories`` it may build from those alone, with ``parameters`` it must have been asked for just
    these. ``builder`` is the builder id of its provenance, if that is another than the identity itself.
    """

    issuer: str = pydantic.Field(pattern=r"^https://[^\s]+$")
    subject: Subject
    repositories: tuple[str, ...] = ()
    parameters: dict[str, str] = pydantic.Field(default_factory=dict)
    builder: str = ""


class Sigstore(Model):
    """A Sigstore instance and who is trusted in it; needs the extra ``sigstore``.

    ``trusted_root`` and ``signing_config`` are files of the instance, relative to the workspace, or
    ``public``: the public good instance, as the installed library knows it. Verifying needs no network.
    """

    trusted_root: str = "public"
    signing_config: str = "public"
    identities: tuple[SignerIdentity, ...] = ()
