r"""``assets/NAME.yaml``, ``identities/NAME.yaml``, ``networks/NAME.yaml``: what is known beside the events.

Each file is a list of records; imports have the same fields. ``from`` and ``until`` say when a record holds;
a record of the same id may say something else of another time::

    # assets/payments.yaml
    - id: pay-db-1
      hostnames: [pay-db-1.corp.example, pay-db-1]
      addresses: [10.2.0.7, "2001:db8::7"]
      owner: "@example/payments"
      criticality: critical           # low, medium, high, critical
      environment: production
      data_classes: [cardholder]
      until: 2026-03-01
    - id: pay-db-1
      hostnames: [pay-db-1.corp.example]
      owner: "@example/data"
      from: 2026-03-01

    # identities/people.yaml
    - {id: anna, name: anna, names: ['CORP\anna'], department: finance, privileged: true}

    # networks/sites.yaml
    - {cidr: 10.2.0.0/16, zone: payments, site: Berlin, owner: "@example/network"}
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal, Self

import pydantic

from lemnis.content.schemas import Model
from lemnis.contracts.clock import from_iso
from lemnis.contracts.reference import ALWAYS, ASSETS, DNS, FOREVER, IDENTITIES, NETWORKS, VULNERABILITIES

_MAPPED = 96


def _instant(value: Any) -> Any:
    """Read a time: ISO 8601, or whole milliseconds since 1970."""
    if isinstance(value, datetime):
        value = value.isoformat()
    elif isinstance(value, date):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC).isoformat()
    if isinstance(value, str):
        try:
            return from_iso(value)
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"{value[:40]!r} is no time; write 2026-03-01 or 2026-03-01T12:00:00Z"
            ) from error
    return value


def _address(value: str) -> str:
    found = ip_address(value)
    return str(getattr(found, "ipv4_mapped", None) or found)


def _network(value: str) -> str:
    try:
        found = ip_network(value)
    except ValueError as error:
        raise ValueError(f"{value[:60]!r} is no network (CIDR): {error}") from error
    if isinstance(found, IPv6Network) and found.prefixlen >= _MAPPED and found.network_address.ipv4_mapped:
        return f"{found.network_address.ipv4_mapped}/{found.prefixlen - _MAPPED}"
    return str(found)


Instant = Annotated[
    int, pydantic.BeforeValidator(_instant), pydantic.Field(ge=ALWAYS, le=FOREVER, strict=True)
]
Id = Annotated[str, pydantic.Field(min_length=1, max_length=200)]
Text = Annotated[str, pydantic.Field(max_length=400)]
Address = Annotated[str, pydantic.Field(max_length=100), pydantic.AfterValidator(_address)]
Texts = Annotated[
    tuple[Annotated[str, pydantic.Field(min_length=1, max_length=253)], ...], pydantic.Field(max_length=200)
]


class Record(Model):
    """What every record has: its id, and when it holds (``until`` is the first moment that it does not)."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    id: Id
    since: Instant = pydantic.Field(default=ALWAYS, alias="from")
    until: Instant = FOREVER

    @pydantic.model_validator(mode="after")
    def _begins(self) -> Self:
        if self.until <= self.since:
            raise ValueError("until must be after from")
        return self

    def said(self) -> dict[str, Any]:
        """Return what it says, without what is empty and without its time."""
        told = self.model_dump(mode="json", exclude={"since", "until"}, exclude_defaults=True)
        return {name: value for name, value in told.items() if value not in ("", [], None)}


class Asset(Record):
    """A machine, workload or device of ours. ``id`` is compared with what events call it (``device.uid``)."""

    hostnames: Texts = ()
    addresses: Annotated[tuple[Address, ...], pydantic.Field(max_length=200)] = ()
    macs: Texts = ()
    owner: Text = ""
    team: Text = ""
    criticality: Literal["", "low", "medium", "high", "critical"] = ""
    environment: Text = ""
    data_classes: Texts = ()
    services: Texts = ()
    internet_facing: bool | None = None


class Identity(Record):
    r"""A person or a service account; ``names`` are accounts, with their domain as ``DOMAIN\name``."""

    uids: Texts = ()
    name: Text = ""
    names: Texts = ()
    full_name: Text = ""
    email: Text = ""
    department: Text = ""
    manager: Text = ""
    privileged: bool = False
    service_account: bool = False


class Network(Record):
    """A network range; of nested ones the smallest holds. Its id is its CIDR unless it has another."""

    cidr: Annotated[str, pydantic.Field(max_length=100), pydantic.AfterValidator(_network)]
    zone: Text = ""
    site: Text = ""
    owner: Text = ""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "id" not in value and isinstance(value.get("cidr"), str):
            return {**value, "id": value["cidr"]}
        return value


class Vulnerability(Record):
    """A vulnerability of an asset, from when it was first seen until it was fixed."""

    asset: Id
    cve: Annotated[str, pydantic.Field(min_length=1, max_length=60)]
    severity: Literal["unknown", "low", "medium", "high", "critical"] = "unknown"
    package: Text = ""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        made = dict(value)
        for name, other in (("first_seen", "from"), ("fixed", "until")):
            if name in made:
                made.setdefault(other, made.pop(name))
        parts = [str(made[name]) for name in ("asset", "cve", "package") if made.get(name)]
        return made if "id" in made else {**made, "id": " ".join(parts)[:200]}


class Name(Record):
    """A name that an address had: learnt from DNS, or brought by an import."""

    address: Address
    hostname: Annotated[str, pydantic.Field(min_length=1, max_length=253)]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "id" not in value:
            return {**value, "id": f"{value.get('address')} {value.get('hostname')}"[:200]}
        return value


KINDS: Mapping[str, type[Record]] = {
    ASSETS: Asset, IDENTITIES: Identity, NETWORKS: Network, VULNERABILITIES: Vulnerability,
    DNS: Name,
}  # fmt: skip


class Known(Model):
    """Records of several tables, as a detection's test has them."""

    assets: tuple[Asset, ...] = ()
    identities: tuple[Identity, ...] = ()
    networks: tuple[Network, ...] = ()
    dns: tuple[Name, ...] = ()
    vulnerabilities: tuple[Vulnerability, ...] = ()


class Assets(pydantic.RootModel[tuple[Asset, ...]]):
    """``assets/NAME.yaml``."""


class Identities(pydantic.RootModel[tuple[Identity, ...]]):
    """``identities/NAME.yaml``."""


class Networks(pydantic.RootModel[tuple[Network, ...]]):
    """``networks/NAME.yaml``."""


FILES: Mapping[str, type[Assets | Identities | Networks]] = {
    ASSETS: Assets, IDENTITIES: Identities, NETWORKS: Networks,
}  # fmt: skip
"""What lies in content as files."""
