"""The simulators refuse what the real ones refuse, and run in a process of their own."""

import signal
import subprocess
import sys
import time

import httpx
import orjson
import pytest
from simulated import DEPLOYMENT, OTHER, TOKEN

from lemnis.respond.client import Client, Login
from lemnis.respond.sigv4 import Keys
from lemnis.respond.template import Rendered
from lemnis.testing import AwsSimulator, KubernetesSimulator
from lemnis.testing.aws import EXAMPLE_KEYS

POLICIES = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def cluster():
    with KubernetesSimulator([DEPLOYMENT], token=TOKEN) as made:
        yield made


def call(cluster, method, path, body=None, token=TOKEN):
    with httpx.Client(base_url=cluster.url, headers={"Authorization": f"Bearer {token}"}) as client:
        answer = client.request(method, path, content=orjson.dumps(body) if body is not None else None)
    return answer.status_code, answer.json()


def test_kubernetes_statuses(cluster):
    assert call(cluster, "GET", "/api/v1/namespaces", token="x")[0] == 401
    assert call(cluster, "GET", "/api/v1/namespaces/shop")[0] == 200
    assert call(cluster, "GET", "/api/v1/namespaces/none")[1]["reason"] == "NotFound"
    assert call(cluster, "GET", "/api/v1/namespaces/shop/pods")[1]["items"] == []
    assert call(cluster, "POST", POLICIES, OTHER)[0] == 201
    assert call(cluster, "POST", POLICIES, OTHER)[1]["reason"] == "AlreadyExists"
    assert call(cluster, "POST", POLICIES, {**OTHER, "spec": {}})[0] == 422
    assert (
        call(cluster, "POST", POLICIES, {**OTHER, "metadata": {"name": "x", "namespace": "other"}})[0] == 422
    )
    assert call(cluster, "POST", POLICIES.replace("shop", "none"), OTHER)[0] == 404
    assert call(cluster, "PATCH", POLICIES, {})[0] == 405
    assert call(cluster, "GET", "/apis/batch/v1/namespaces/shop/jobs")[0] == 404
    _, one = call(cluster, "GET", f"{POLICIES}/shop-ingress")
    assert call(cluster, "PUT", f"{POLICIES}/shop-ingress", one)[0] == 200
    assert call(cluster, "PUT", f"{POLICIES}/shop-ingress", one)[1]["reason"] == "Conflict"
    assert call(cluster, "DELETE", f"{POLICIES}/shop-ingress")[0] == 200
    assert call(cluster, "DELETE", f"{POLICIES}/shop-ingress")[0] == 404
    assert [one.split()[0] for one in cluster.changes] == ["create", "replace", "delete"]


def iam(cloud, body, keys=EXAMPLE_KEYS):
    with Client("c", cloud.url, Login(keys=keys, region="us-east-1")) as client:
        answer = client.send(Rendered("POST", "/", "", body.encode(), FORM), timeout=5)
    return answer.status, answer.data()


def test_iam_statuses():
    role = "Version=2010-05-08&RoleName=r&PolicyName=p"
    with AwsSimulator(["r"]) as cloud:
        for keys, code in (
            (Keys("AKIAOTHER", "x"), "InvalidClientTokenId"),
            (Keys(EXAMPLE_KEYS.access, "wrong"), "SignatureDoesNotMatch"),
        ):
            status, found = iam(cloud, f"Action=GetRole&{role}", keys)
            assert (status, found["ErrorResponse"]["Error"]["Code"]) == (403, code)
        assert httpx.post(cloud.url).status_code == 403
        assert (
            iam(cloud, f"Action=GetRole&{role}")[1]["GetRoleResponse"]["GetRoleResult"]["Role"]["RoleName"]
            == "r"
        )
        assert iam(cloud, f"Action=GetRole&{role}".replace("=r&", "=q&"))[0] == 404
        assert iam(cloud, f"Action=ListUsers&{role}")[0] == 400
        assert iam(cloud, f"Action=PutRolePolicy&{role}&PolicyDocument=no")[0] == 400
        sid = '{"Statement":[{"Sid":"not-alnum"}]}'
        assert iam(cloud, f"Action=PutRolePolicy&{role}&PolicyDocument={sid}")[0] == 400
        assert iam(cloud, f"Action=DeleteRolePolicy&{role}")[0] == 404
        assert cloud.changes == []


def test_in_a_process_of_their_own(tmp_path):
    ports, world = tmp_path / "ports.json", tmp_path / "world.yaml"
    world.write_bytes(orjson.dumps({"kubernetes": [DEPLOYMENT], "aws": ["r"]}))
    command = [sys.executable, "-m", "lemnis.testing", "kubernetes", "aws"]
    child = subprocess.Popen([*command, "--port-file", str(ports), "--world", str(world)])
    try:
        end = time.monotonic() + 90
        while not ports.exists() and time.monotonic() < end:
            time.sleep(0.02)
        where = orjson.loads(ports.read_bytes())
        answer = httpx.get(f"{where['kubernetes']}/apis/apps/v1/namespaces/shop/deployments/shop-web")
        assert answer.json()["spec"]["selector"]["matchLabels"] == {"app": "shop-web"}
        assert httpx.post(where["aws"]).status_code == 403
    finally:
        child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0
