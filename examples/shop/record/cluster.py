"""What the cluster's API and the cloud know at the end of a recording: the world that simulators start with.

    python3 cluster.py RECORDING OUTPUT

The pods are those that the recording's container runtime says were running; the form is that of
``python -m lemnis.testing … --world``: Kubernetes objects, and names of AWS roles.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import plan

PORTS = {"shop-web": plan.WEB, "shop-stock": plan.STOCK}


def world(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the objects after some records of the container runtime."""
    last: dict[str, dict[str, Any]] = {}
    for record in records:
        workload = record["workload"]
        if record["topic"] == "/tasks/start" and workload["kind"] == "Deployment":
            last[workload["name"]] = record
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": plan.PODS}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "shop-ingress", "namespace": plan.PODS},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 8080}]}]},
        },
    ]
    for name, record in sorted(last.items()):
        objects += [_deployment(name, record), _pod(name, record)]
    return {"kubernetes": objects, "aws": [plan.ROLE, "shop-deploy", "shop-terraform"]}


def _deployment(name: str, record: dict[str, Any]) -> dict[str, Any]:
    labels = _labels(record)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": plan.PODS, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [_container(name, record)]}},
        },
        "status": {"replicas": 1, "readyReplicas": 1},
    }


def _pod(name: str, record: dict[str, Any]) -> dict[str, Any]:
    container = record["container"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": record["workload"]["pod"], "namespace": plan.PODS, "labels": _labels(record)},
        "spec": {"nodeName": plan.NODE, "containers": [_container(name, record)]},
        "status": {
            "phase": "Running",
            "podIP": PORTS[name][0],
            "startTime": record["timestamp"],
            "containerStatuses": [
                {
                    "name": container["labels"]["io.kubernetes.container.name"],
                    "ready": True,
                    "containerID": f"containerd://{container['id']}",
                    "imageID": container["image"],
                }
            ],
        },
    }


def _container(name: str, record: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": record["container"]["labels"]["io.kubernetes.container.name"],
        "image": record["container"]["image"],
        "args": [name.partition("-")[2]],
        "ports": [{"containerPort": PORTS[name][1]}],
    }


def _labels(record: dict[str, Any]) -> dict[str, str]:
    return {name: record["container"]["labels"][name] for name in ("app", "team")}


def write(recording: Path, output: Path) -> None:
    """Read a recording's container runtime and write the world."""
    read = subprocess.run(
        ["zstd", "-q", "-d", "-c", str(recording / "containers.jsonl.zst")], check=True, capture_output=True
    )
    made = world([json.loads(line) for line in read.stdout.splitlines()])
    output.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
