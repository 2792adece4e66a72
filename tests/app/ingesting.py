"""Logs that grow, for the tests of ingest; not a test itself."""

import orjson

ACCESS = '198.51.100.{} - - [03/Nov/2025:{:02}:{:02}:{:02} +0000] "GET /{} HTTP/1.1" {} {} "-" "{}"\n'
SYSCALL = (
    "node=web1 type=SYSCALL msg=audit(1762161{:03}.{:03}:{}): arch=c000003e syscall=59 success=yes exit=0 a0=1 "
    'items=2 ppid={} pid={} auid=4294967295 uid=33 euid=33 tty=(none) ses=1 comm="x" exe="{}" key="exec"\n'
)


def access(first, count):
    lines = []
    for n in range(first, first + count):
        agent = "sqlmap/1.8" if n % 97 == 0 else "Mozilla/5.0"
        lines.append(ACCESS.format(n % 200, n // 3600 % 24, n // 60 % 60, n % 60, f"page/{n}", 200, n, agent))
        if n % 41 == 0:
            lines.append(f"not a request, number {n}\n")
    return "".join(lines)


def audit(first, count):
    text = ""
    for n in range(first, first + count):
        shell = n % 5 == 0
        child = "id" if n % 20 == 1 else "ls"
        exe, arguments = f"/usr/bin/{child}", [child, str(n)]
        if shell:
            exe, arguments = "/bin/sh", ["sh", "-c", f"id; echo {n}"]
        seconds, serial = n // 10 % 1000, n + 1
        head = f"node=web1 type={{}} msg=audit(1762161{seconds:03}.{n % 10:03}:{serial}): "
        text += SYSCALL.format(seconds, n % 10, serial, 1 if shell else 1000 + n // 5 * 5, 1000 + n, exe)
        words = " ".join(f"a{i}={word.encode().hex().upper()}" for i, word in enumerate(arguments))
        text += head.format("EXECVE") + f"argc={len(arguments)} {words}\n"
        text += head.format("PROCTITLE") + f"proctitle={' '.join(arguments).encode().hex().upper()}\n"
    return text


def syslog(first, count):
    lines = []
    for n in range(first, first + count):
        stamp = f"2025-11-03T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}+00:00"
        user = "invalid user oracle" if n % 20 == 0 else "priya"
        lines.append(f"{stamp} web1 sshd[{n}]: Failed password for {user} from 198.51.100.9 port {n} ssh2\n")
    return "".join(lines)


def trail(first, count):
    records = [
        {"eventVersion": "1.11", "eventTime": "2025-11-03T10:00:00Z", "eventSource": "iam.amazonaws.com",
         "eventName": "CreateUser", "awsRegion": "eu-central-1", "sourceIPAddress": "198.51.100.9",
         "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/x", "userName": "x"}, "userAgent": "x",
         "errorCode": "AccessDenied", "eventID": f"event-{n}", "recipientAccountId": "1", "requestID": str(n)}
        for n in range(first, first + count)
    ]  # fmt: skip
    return orjson.dumps({"Records": records}).decode()


class Logs:
    """A folder of logs, each of which grows when it is told to."""

    def __init__(self, folder):
        self.folder = folder
        self.done = 0
        folder.mkdir()

    def grow(self, count):
        for name, make in (("access.log", access), ("audit.log", audit), ("auth.log", syslog)):
            with (self.folder / name).open("a") as file:
                file.write(make(self.done, count))
        (self.folder / f"trail-{self.done}.json").write_text(trail(self.done, max(1, count // 10)))
        self.done += count
