"""What runs in a cluster, and what is logged there: objects as kubectl shows them, Tetragon, the API server, Envoy."""

import json
from datetime import UTC, datetime


def iso(at, end="Z"):
    """Return a time (ms) as logs have it."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", end)


class Pod:
    """A pod with one container on a node, of which a sensor tells."""

    def __init__(self, space, workload, kind, suffix, image, digest, container, node="node-1"):  # noqa: PLR0917 - as in a table
        self.space, self.workload, self.kind, self.node = space, workload, kind, node
        self.name, self.image, self.digest, self.container = f"{workload}-{suffix}", image, digest, container

    def objects(self, since, spec=None):
        """Return the controller and the pod as ``kubectl get -o json`` shows them."""
        meta = {"namespace": self.space, "creationTimestamp": iso(since), "uid": f"{self.workload}-0001"}
        labels = {"app": self.workload}
        spec = spec or {"containers": [{"name": self.workload, "image": self.image}]}
        controller = {
            "apiVersion": "apps/v1", "kind": self.kind, "metadata": {**meta, "name": self.workload, "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        }  # fmt: skip
        owner = {
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "name": self.workload,
            "controller": True,
            "uid": meta["uid"],
        }
        status = {
            "name": self.workload, "image": self.image, "imageID": f"{self.image.partition(':')[0]}@{self.digest}",
            "containerID": f"containerd://{self.container}", "state": {"running": {"startedAt": iso(since)}},
        }  # fmt: skip
        pod = {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {**meta, "name": self.name, "uid": f"{self.name}-0001", "labels": labels, "ownerReferences": [owner]},
            "spec": {**spec, "nodeName": self.node},
            "status": {"phase": "Running", "containerStatuses": [status]},
        }  # fmt: skip
        return [controller, pod]

    def starts(self, at, pid, parent, program, arguments="", by="/bin/sh"):  # noqa: PLR0917 - as they stand in a record
        """A program is started in its container (Tetragon's process_exec, as it is exported)."""
        pod = {
            "namespace": self.space, "name": self.name, "uid": f"{self.name}-0001",
            "container": {
                "id": f"containerd://{self.container}", "name": self.workload,
                "image": {"id": f"{self.image.partition(':')[0]}@{self.digest}", "name": self.image},
                "start_time": iso(at - 86_400_000), "pid": pid % 1000,
            },
            "workload": self.workload, "workload_kind": self.kind,
        }  # fmt: skip

        def process(number, binary, words):
            return {
                "exec_id": f"{self.node}:{number}:{binary}", "pid": number, "uid": 0, "cwd": "/", "binary": binary,
                "arguments": words, "flags": "execve clone", "start_time": iso(at), "auid": 4294967295, "pod": pod,
            }  # fmt: skip

        told = {"process": process(pid, program, arguments), "parent": process(parent, by, "")}
        return json.dumps({"process_exec": told, "node_name": self.node, "time": iso(at)})


def audited(  # noqa: PLR0917 - as they stand in a record
    at, verb, resource, space, name, user, address, *, sub="", code=200, body=None, agent="kubectl/v1.33.1"
):
    """The API server answered a request (its audit log)."""
    path = f"/api/v1/namespaces/{space}/{resource}/{name}" + (f"/{sub}" if sub else "")
    about = {
        "resource": resource,
        "namespace": space,
        "name": name,
        "apiVersion": "v1",
        **({"subresource": sub} if sub else {}),
    }
    return json.dumps(
        {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete",
            "auditID": f"{at}-{verb}-{resource}-{name}", "requestURI": path, "verb": verb,
            "user": {"username": user, "groups": ["system:authenticated"]}, "sourceIPs": [address], "userAgent": agent,
            "objectRef": about, "responseStatus": {"metadata": {}, "code": code},
            "requestReceivedTimestamp": iso(at), "stageTimestamp": iso(at + 5),
            "annotations": {"authorization.k8s.io/decision": "allow"}, **({"requestObject": body} if body else {}),
        }
    )  # fmt: skip


def asked(at, client, host, path, *, method="GET", status=200, agent="Mozilla/5.0", service="shop_web_80"):
    """The ingress answered a request (Envoy's access log as JSON)."""
    return json.dumps(
        {
            "start_time": iso(at), "method": method, "path": path, "protocol": "HTTP/2", "response_code": status,
            "response_flags": "-", "response_code_details": "via_upstream", "bytes_received": 0, "bytes_sent": 812,
            "duration": 9, "authority": host, "user_agent": agent, "request_id": f"{at}-{client}", "x_forwarded_for": client,
            "downstream_remote_address": f"{client}:50{at % 1000:03}", "downstream_local_address": "10.42.0.77:10443",
            "upstream_cluster": service, "upstream_host": "10.42.0.12:8080", "requested_server_name": host,
        }
    )  # fmt: skip


def written(folder, **files):
    """Write lines by source; return what the harness reads in."""
    found = []
    for source, lines in files.items():
        path = folder / f"{source}.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        found.append((source, path))
    return found
