"""A small attack in four sources, as raw logs, with ordinary use around it; not a test itself."""

import json
from datetime import UTC, datetime

BASE = 1_762_161_000
ATTACKER, OFFICE, NODE = "198.51.100.23", "192.0.2.10", "web1"


def clf(at):
    return datetime.fromtimestamp(at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


def iso(at):
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def access():
    for n in range(60):
        yield f'203.0.113.{n + 2} - - [{clf(BASE + 10 * n)}] "GET /articles/{n} HTTP/1.1" 200 512 "-" "Mozilla/5.0"'
    for n, path in enumerate(("/.env", "/.git/config", "/wp-login.php", "/labels")):
        yield f'{ATTACKER} - - [{clf(BASE + 20 + n)}] "GET {path} HTTP/1.1" 404 9 "-" "Mozilla/5.00 (Nikto/2.5.0)"'


def auth():
    for n, name in enumerate(("oracle", "test", "pi", "git")):
        at = datetime.fromtimestamp(BASE + 60 + n, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000+00:00")
        yield f"{at} {NODE} sshd[{700 + n}]: Failed password for invalid user {name} from {ATTACKER} port {40000 + n} ssh2"
    at = datetime.fromtimestamp(BASE + 3000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000+00:00")
    yield f"{at} {NODE} sshd[800]: Failed password for invalid user pirya from {OFFICE} port 51000 ssh2"


def process(at, serial, parent, pid, exe, arguments):  # noqa: PLR0917
    head = f"msg=audit({at}.000:{serial})"
    words = " ".join(
        f"a{n}={word.encode().hex().upper()}" if " " in word else f'a{n}="{word}"'
        for n, word in enumerate(arguments)
    )
    yield (
        f"node={NODE} type=SYSCALL {head}: arch=c000003e syscall=59 success=yes exit=0 items=2 ppid={parent} pid={pid} "
        f'auid=4294967295 uid=33 gid=33 euid=33 tty=(none) ses=4294967295 comm="x" exe="{exe}" key="exec"'
    )
    yield f"node={NODE} type=EXECVE {head}: argc={len(arguments)} {words}"
    yield f"node={NODE} type=PROCTITLE {head}: proctitle=00"


def audit():
    url = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
    yield from process(BASE + 5, 900, 1, 4100, "/usr/bin/python3.11", ["python3", "-m", "shop"])
    for n, (exe, *words) in enumerate(
        (("/usr/bin/id", "id"), ("/usr/bin/whoami", "whoami"), ("/usr/bin/curl", "curl", "-s", url))
    ):
        at, pid = BASE + 90 + 10 * n, 5000 + 10 * n
        yield from process(
            at, 910 + 10 * n, 4100, pid, "/usr/bin/dash", ["/bin/sh", "-c", f"printf x;{' '.join(words)}"]
        )
        yield from process(at, 911 + 10 * n, pid, pid + 1, exe, words)


def call(n, at, address, service, name, error=""):  # noqa: PLR0917
    record = {
        "eventVersion": "1.11", "eventTime": iso(at), "eventSource": f"{service}.amazonaws.com", "eventName": name,
        "awsRegion": "eu-central-1", "sourceIPAddress": address, "userAgent": "aws-cli/2.17", "requestID": f"R{n}",
        "eventID": f"00000000-0000-4000-8000-{n:012}", "readOnly": not error, "eventType": "AwsApiCall",
        "managementEvent": True, "recipientAccountId": "111122223333", "eventCategory": "Management",
        "requestParameters": None, "responseElements": None,
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROAEXAMPLE:i-0a1b2c3d4e5f60718", "accountId": "111122223333",
            "arn": "arn:aws:sts::111122223333:assumed-role/shop-node/i-0a1b2c3d4e5f60718", "accessKeyId": "ASIAEXAMPLE",
        },
    }  # fmt: skip
    return json.dumps(record | ({"errorCode": "AccessDenied", "errorMessage": "denied"} if error else {}))


def cloud():
    for n in range(20):
        yield call(n, BASE + 30 * n, "10.0.3.4", "s3", "GetObject")
    yield call(100, BASE + 200, ATTACKER, "sts", "GetCallerIdentity")
    yield call(101, BASE + 210, ATTACKER, "iam", "CreateUser", "no")


def containers():
    started = {
        "id": "c1", "pid": 4100, "image": "registry.shop.example/shop:1", "image_digest": "sha256:" + "ab" * 32, "labels": {},
    }  # fmt: skip
    record = {
        "timestamp": iso(BASE - 3600),
        "namespace": "k8s.io",
        "topic": "/tasks/start",
        "node": NODE,
        "container": started,
    }
    yield json.dumps(record | {"event": {"container_id": "c1", "pid": 4100}, "workload": {"pod": "p1"}})


def write(folder):
    """Write the logs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in {
        "access.log": access(),
        "auth.log": auth(),
        "audit.log": audit(),
        "cloudtrail.jsonl": cloud(),
        "runtime.jsonl": containers(),
    }.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
