"""A forged request: a preview of pictures fetches what a stranger names, the machine's keys; they are used from outside.

Nothing is started and nothing stands in a command line: the service itself connects to the metadata service, because a
request named its address. Traced to the line that fetches, refused as a code pattern.
"""

from urllib.parse import quote

from everyday import history
from harness import AT, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line, traced
from rawlogs import Raw

from lemnis.app import trace
from lemnis.contracts.provenance import Strength

IMAGE = "sha256:" + "c3" * 32
CONTAINER = "c0ffee03" * 8
ATTACKER = "198.51.100.23"
PYTHON = "/usr/local/bin/python3.12"
PICTURES = "203.0.113.200"
INSTANCE = "i-0a1b2c3d4e5f60718"
ROLE = f"arn:aws:sts::111122223333:assumed-role/gallery-node/{INSTANCE}"
WEB = """\
from flask import Flask, request

from gallery import pictures

app = Flask(__name__)


@app.get("/preview")
def preview():
    return pictures.thumbnail(request.args["picture"])


@app.get("/")
def front():
    return "hello"
"""
HOLE = """\
from urllib.request import urlopen


def thumbnail(picture):
    with urlopen(picture, timeout=5) as answer:
        return answer.read(1_000_000)
"""
FIXED = """\
import http.client
from urllib.parse import urlsplit

KNOWN = {"pictures.example", "cdn.example"}


def thumbnail(picture):
    parts = urlsplit(picture)
    if parts.scheme != "https" or parts.hostname not in KNOWN:
        raise ValueError("no picture of ours")
    connection = http.client.HTTPSConnection(parts.hostname, timeout=5)
    connection.request("GET", parts.path)
    return connection.getresponse().read(1_000_000)
"""
STATUS = """\
import http.client


def reachable():
    connection = http.client.HTTPSConnection("status.example", timeout=2)
    connection.request("HEAD", "/")
    return connection.getresponse().status == 200
"""
ADDRESSES = """\
from urllib.parse import urlsplit


def host(address):
    return urlsplit(address).hostname or ""
"""
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: gallery, namespace: shop}
spec:
  podSelector: {matchLabels: {app: gallery}}
  policyTypes: [Egress]
  egress:
    - to: [{ipBlock: {cidr: 0.0.0.0/0}}]
      ports: [{protocol: TCP, port: 443}]
"""
RULE = """\
title: Service in a container reaches the metadata service of the cloud
id: 6a3ff0a0-7a1c-4c39-8f6e-0d9f3f3d5b11
status: test
description: Our services get their keys as workload identities; none of them asks the machine's metadata service.
author: The shop's security team
tags: [attack.credential-access, attack.t1552.005]
logsource: {product: linux, category: network_connection}
detection:
  service: {Image|contains: [/python, /java, /node, /ruby, /php]}
  metadata: {DestinationIp|cidr: [169.254.169.254/32, 169.254.170.2/32, 'fd00:ec2::254/128']}
  condition: service and metadata
level: high
"""


def ordinary(folder, start=AT - HOUR, *, container=True, place="pictures.example"):
    """Visitors look at pictures, which the service fetches; the machine's own agent uses its role."""
    raw = Raw(folder, serial=start % 1_000_000)
    if container:
        raw.container(start - MINUTE, CONTAINER, 800, IMAGE, "shop/gallery")
        raw.starts(start - MINUTE + 100, 800, 799, PYTHON, "python3", "-m", "gallery")
    for number in range(50):
        at, client = start + number * MINUTE, f"203.0.113.{number % 20 + 1}"
        fetched(raw, at, client, f"https://{place}/{20251100 + number}/p-{number}.jpg", (PICTURES, 443))
        raw.asks(at + 500, client, "/?page=2")
        if number % 10 == 0:
            raw.calls(at, "10.0.3.17", "ssm:UpdateInstanceInformation", role())
    return raw.logs


def attack(folder):
    """A request names the metadata service: first the role, then its keys; these list what there is."""
    raw = Raw(folder, serial=AT % 1_000_000)
    keys = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
    raw.asks(AT - MINUTE, ATTACKER, "/.env", agent="Mozilla/5.00 (Nikto/2.5.0)", status=404)
    fetched(raw, AT - 10 * SECOND, ATTACKER, keys, ("169.254.169.254", 80))
    fetched(raw, AT, ATTACKER, keys + "gallery-node", ("169.254.169.254", 80))
    raw.calls(AT + 2 * MINUTE, ATTACKER, "s3:ListBuckets", role())
    raw.calls(AT + 3 * MINUTE, ATTACKER, "secretsmanager:ListSecrets", role())
    return raw.logs


def variant(folder):
    """Another attacker asks for a container's keys, at another address, written as one number."""
    raw = Raw(folder, serial=LATER % 1_000_000)
    fetched(raw, LATER, "192.0.2.91", "http://2852039170/v2/credentials", ("169.254.170.2", 80))
    return raw.logs


def benign_hour(folder):
    """The same hour a day later, with pictures from elsewhere."""
    return ordinary(folder, LATER - HOUR, container=False, place="cdn2.pictures.example:8443")


def more(story):
    """The other incident, that the keys are used, is traced to the same line; the way out is told beside."""
    [used] = [one for one in story.world.incidents if one != story.incident]
    seen = trace.trace(story.world.workspace, used)
    traced(story.world, seen)
    [obtained] = [hop.edge for hop in seen.hops if hop.edge.relation == "obtained_by"]
    assert (obtained.strength, obtained.evidence["clients"]) == (Strength.OBSERVED, [ATTACKER])
    assert any("network policy" in point for point in story.lesson.proposed.payload["review"])


def fetched(raw, at, client, picture, to):
    """Someone asks for a preview; the service connects to where the picture is."""
    raw.asks(at, client, "/preview?picture=" + quote(picture, safe=""))
    raw.connects(at + 60, 800, 799, PYTHON, *to)


def role():
    """The session of the machine's role."""
    return {
        "type": "AssumedRole", "principalId": f"AROAEXAMPLE:{INSTANCE}", "arn": ROLE, "accountId": "111122223333",
        "accessKeyId": "ASIAEXAMPLEEXAMPLE00",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role", "principalId": "AROAEXAMPLE", "arn": "arn:aws:iam::111122223333:role/gallery-node",
                "accountId": "111122223333", "userName": "gallery-node",
            },
            "attributes": {"creationDate": "2025-11-24T12:00:00Z", "mfaAuthenticated": "false"},
        },
    }  # fmt: skip


SCENARIO = Scenario(
    repository="gallery",
    changes=history(
        Change("Begin", {
            "gallery/__init__.py": "", "gallery/web.py": WEB, "deploy/network.yaml": POLICY,
            "CODEOWNERS": "* @shop/all\n/gallery/ @shop/gallery\n/deploy/ @shop/platform\n",
        }),
        Change("Previews of pictures", {"gallery/pictures.py": HOLE}, author="Robin New", name="culprit"),
        near=(
            Change("Say whether the others are there", {"tools/status.py": STATUS}),
            Change("Hosts of addresses", {"gallery/addresses.py": ADDRESSES}),
            Change("Policy: another port", {"deploy/network.yaml": POLICY.replace("port: 443", "port: 8443")}),
        ),
        fix=Change("Pictures of our own only", {"gallery/pictures.py": FIXED}, name="fix"),
    ),
    cause=f"gallery/pictures.py:{line(HOLE, 'urlopen(')}",
    owner="@shop/gallery",
    kind="code pattern",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=lambda world: world.attest(IMAGE),
    content={"detections/service_reaches_metadata/rule.yml": RULE},
    warns=("new_findings_below_medium",),
    incidents=2,
    more=more,
)  # fmt: skip
