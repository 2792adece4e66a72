"""Which status tells of an error, and what the page that tells of it is called."""

from __future__ import annotations

from collections.abc import Mapping

from lemnis.contracts.errors import (
    AccessError,
    BusyError,
    InputError,
    LemnisError,
    NotFoundError,
    RefusedError,
    ServiceError,
)

TITLES: Mapping[int, str] = {
    403: "That is not yours to do", 404: "There is no such thing", 409: "That was refused",
    400: "That cannot be read", 503: "Not now", 500: "Something does not hold",
}  # fmt: skip


def status_of(error: LemnisError) -> int:
    """Return the status that tells of an error."""
    kinds: tuple[tuple[type[LemnisError], int], ...] = (
        (AccessError, 403), (NotFoundError, 404), (InputError, 400), (RefusedError, 409), (BusyError, 503),
    )  # fmt: skip
    return next(
        (status for kind, status in kinds if isinstance(error, kind)),
        503 if isinstance(error, ServiceError) else 500,
    )
