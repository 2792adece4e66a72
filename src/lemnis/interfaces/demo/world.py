"""What answers the actions in the story: a simulated cluster and cloud on loopback, with the shop in them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

from lemnis.testing import AwsSimulator, KubernetesSimulator
from lemnis.testing.aws import EXAMPLE_KEYS

TOKEN, ACCESS_KEY, SECRET_KEY = "SHOP_CLUSTER_TOKEN", "SHOP_CLOUD_KEY", "SHOP_CLOUD_SECRET"
Connections = Mapping[str, Mapping[str, str]]


@contextmanager
def world(state: Path) -> Iterator[tuple[Connections, dict[str, str]]]:
    """Start both with a recorded state (``kubernetes``: objects, ``aws``: roles).

    Give the connections for the settings, and the variables that hold their secrets.
    """
    there = orjson.loads(state.read_bytes())
    token = secrets.token_hex()
    with (
        KubernetesSimulator(there["kubernetes"], token=token) as cluster,
        AwsSimulator(there["aws"], keys=EXAMPLE_KEYS) as cloud,
    ):
        connections = {
            "cluster": {"url": cluster.url, "token_env": TOKEN},
            "cloud": {
                "url": cloud.url, "access_key_env": ACCESS_KEY, "secret_key_env": SECRET_KEY,
                "region": "us-east-1",
            },
        }  # fmt: skip
        keys = {ACCESS_KEY: EXAMPLE_KEYS.access, SECRET_KEY: EXAMPLE_KEYS.secret}
        yield connections, {TOKEN: token, **keys}
