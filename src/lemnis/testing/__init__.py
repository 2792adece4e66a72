"""The public test kit: simulators and helpers that content and plug-in authors use in their own tests.

Simulators are real HTTP servers on loopback with state and a log of what they were asked and what changed::

    with KubernetesSimulator([deployment], token="t") as cluster, AwsSimulator(["node-role"]) as cloud:
        ...  # cluster.url and cloud.url go into lemnis.yaml under `connections`

Simulators of vendors are in ``lemnis.testing.vendors``, ``vendors_desk`` and ``vendors_host``; a
``lemnis.testing.worlds.World`` starts those that connections need. ``simulator.hostile`` makes requests go
wrong on purpose.

Transports are tried out with ``lemnis.testing.receiver``, interfaces that are pulled from with
``lemnis.testing.interfaces``, TLS with ``lemnis.testing.certificates``.

``python -m lemnis.testing kubernetes aws --port-file F`` starts them in a process of their own.
"""

from lemnis.testing.aws import AwsSimulator
from lemnis.testing.kubernetes import KubernetesSimulator
from lemnis.testing.server import Simulator

__all__ = ["AwsSimulator", "KubernetesSimulator", "Simulator"]
