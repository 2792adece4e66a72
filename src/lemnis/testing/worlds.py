"""Worlds for tests of actions and playbooks: simulators, and the connections that lead to them.

A world says what each simulator has, by its name: ``kubernetes`` a list of manifests, ``aws`` roles, or a map
of ``roles``, ``users``, ``instances``, ``volumes`` and ``buckets``, any vendor its objects by kind and key.
Only the simulators that are asked for are started.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

from lemnis.content.schemas.settings import Connection
from lemnis.testing import vendors, vendors_desk, vendors_host
from lemnis.testing.aws import EXAMPLE_KEYS, AwsSimulator
from lemnis.testing.kubernetes import KubernetesSimulator
from lemnis.testing.rest import TOKEN, Vendor
from lemnis.testing.server import Simulator

VENDORS: Mapping[str, type[Vendor]] = MappingProxyType(
    {
        "github": vendors.Github, "okta": vendors.Okta, "entra": vendors.Entra, "service": vendors.Service,
        "teams": vendors.Teams, "webhook": vendors.Webhook, "slack": vendors_desk.Slack,
        "pagerduty": vendors_desk.Pagerduty, "jira": vendors_desk.Jira, "taxii": vendors_desk.Taxii,
        "servicenow": vendors_desk.Servicenow, "misp": vendors_desk.Misp, "host": vendors_host.Agent,
        "mail": vendors_host.Post,
    }
)  # fmt: skip
"""Simulators that are driven by tables, by their names."""
ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "T": TOKEN, "A": EXAMPLE_KEYS.access, "S": EXAMPLE_KEYS.secret, "K": vendors.Webhook.key,
        "P": "/workflows/hook?sig=simulated-signature",
    }
)  # fmt: skip
"""What the connections' variables hold."""
_BEARER: Mapping[str, Any] = {"token_env": "T"}
_SIGNED: Mapping[str, Any] = {"access_key_env": "A", "secret_key_env": "S", "region": "us-east-1"}
_LEMNIS: Mapping[str, Any] = {"user": "lemnis", "password_env": "T"}
_CONNECTIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "cluster": ("kubernetes", _BEARER), "cloud": ("aws", _SIGNED), "compute": ("aws", _SIGNED),
        "storage": ("aws", _SIGNED), "github": ("github", _BEARER), "github_app": ("github", _BEARER),
        "okta": ("okta", {"token_env": "T", "scheme": "SSWS"}), "entra": ("entra", _BEARER),
        "slack": ("slack", _BEARER), "teams": ("teams", {"path_env": "P"}), "mail": ("mail", _BEARER),
        "pagerduty": (
            "pagerduty",
            {"token_env": "T", "scheme": "Token token=", "headers": {"From": "soc@example.com"}},
        ),
        "jira": ("jira", {"user": "soc@example.com", "password_env": "T"}),
        "servicenow": ("servicenow", _LEMNIS), "taxii": ("taxii", _LEMNIS),
        "misp": ("misp", {"token_env": "T", "scheme": ""}), "webhook": ("webhook", {"signing_key_env": "K"}),
        "service": ("service", _BEARER), "host": ("host", _BEARER),
    }
)  # fmt: skip
"""By the name of a connection: its simulator, and its settings beside the address."""


class World:
    """Simulators that run; a context manager."""

    def __init__(
        self, has: Mapping[str, Any], connections: Iterable[str], *, delay: float = 0, lag: int = 0
    ) -> None:
        """Start what these connections need, and what the world has something for.

        Raises ValueError for a connection or a simulator that there is not.
        """
        unknown = set(has) - {*VENDORS, "kubernetes", "aws"} | set(connections) - set(_CONNECTIONS)
        if unknown:
            raise ValueError(f"there is no simulator for {', '.join(sorted(unknown))}")
        names = {name for name, one in has.items() if one} | {_CONNECTIONS[name][0] for name in connections}
        self.simulators: dict[str, Simulator] = {
            name: build(name, has.get(name) or (), delay=delay, lag=lag) for name in sorted(names)
        }

    def __enter__(self) -> Self:
        """Begin to listen."""
        for one in self.simulators.values():
            one.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        for one in self.simulators.values():
            one.__exit__(kind, error, trace)

    def connections(self) -> dict[str, Connection]:
        """Return the connections that lead to what runs, as lemnis.yaml would have them."""
        return {
            name: Connection.model_validate({"url": self.simulators[simulator].url, **settings})
            for name, (simulator, settings) in _CONNECTIONS.items()
            if simulator in self.simulators
        }

    def of(self, connection: str) -> Simulator:
        """Return the simulator that a connection leads to."""
        return self.simulators[_CONNECTIONS[connection][0]]

    def changes(self) -> list[str]:
        """Return what was changed so far, simulator by simulator: "github create issue acme/shop/1"."""
        return [f"{name} {what}" for name, one in self.simulators.items() for what in one.changes]


def build(name: str, has: Any, *, token: str = TOKEN, delay: float = 0, lag: int = 0) -> Simulator:
    """Make a simulator by its name, with what a world has for it; raises KeyError for one there is not.

    ``token`` is the cluster's, empty for one that believes everybody; vendors want theirs.
    """
    if name == "kubernetes":
        return KubernetesSimulator(has, token=token, delay=delay)
    if name == "aws":
        more = dict(has) if isinstance(has, Mapping) else {"roles": has}
        return AwsSimulator(more.pop("roles", ()), **more, delay=delay)
    return VENDORS[name](dict(has), delay=delay, lag=lag)
