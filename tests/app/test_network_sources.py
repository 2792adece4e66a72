"""Rules written for Sigma's network log sources find what the network sources say, under the usual names."""

import json
import tarfile
from pathlib import Path

import pytest
import yaml
import zstandard

from lemnis.interfaces.cli import run

SOURCES = Path(__file__).parents[2] / "content/sources"
DATA = Path(__file__).parents[2] / "../shared/data"


def rule(number, title, detection, **logsource):
    chosen = {"selection": detection, "condition": "selection"}
    return {
        "title": title,
        "id": f"7f3a5e0c-1b7d-5a41-9d55-0d4a5bb7b{number:03d}",
        "level": "low",
        "logsource": logsource,
        "detection": chosen,
    }


RULES = [
    rule(1, "web by path", {"c-uri|contains": "/articles"}, category="proxy"),
    rule(2, "web by page", {"cs-uri-query|contains": "page=2", "cs-method": "GET", "sc-status": 200},
         category="webserver"),
    rule(3, "agent", {"c-useragent|contains": "Firefox"}, category="proxy"),
    rule(4, "host", {"cs-host": "shop.example"}, category="proxy"),
    rule(5, "let through", {"action": ["accept", "forward"], "dst_port": 443}, category="firewall"),
    rule(6, "stopped", {"action": ["drop", "block", "deny", "reject"], "dst_port": 22, "src_ip": "203.0.113.66"},
         category="firewall"),
    rule(7, "name", {"query": "shop.example", "record_type": "A"}, category="dns"),
    rule(8, "text answer", {"query": "note.shop.example", "record_type": "TXT"}, category="dns"),
    rule(9, "address answer", {"answer": "198.51.100.20"}, category="dns"),
    rule(10, "client", {"src_ip|cidr": "192.0.2.0/24", "query|endswith": "shop.example"}, category="dns"),
]  # fmt: skip
EXPECTED = {
    "zeek": {"web by path", "web by page", "agent", "host", "let through", "name", "text answer",
             "address answer", "client"},
    "suricata_eve": {"web by path", "web by page", "agent", "host", "let through", "stopped", "name",
                     "address answer", "client"},
    "pcap": {"web by path", "agent", "host", "let through", "name", "text answer", "address answer", "client"},
    "netfilter": {"let through", "stopped"},
    "cisco_asa": {"let through", "stopped"},
    "opnsense_filterlog": {"let through", "stopped"},
    "bind": {"name", "text answer", "client"},
    "coredns": {"name", "text answer"},
    "squid": {"web by path", "host", "agent"},
    "haproxy": {"web by path", "web by page"},
    "traefik": {"web by path", "web by page", "agent", "host"},
    "fortigate": {"let through", "stopped", "name", "address answer", "client"},
    "cisco_ios": {"stopped"},
    "linux_syslog": {"let through", "stopped"},
    "envoy": {"web by path", "web by page", "agent", "host"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text("---\n".join(yaml.safe_dump(one, sort_keys=False) for one in RULES), encoding="utf-8")
    return path


def hunt(capsys, *arguments):
    code = run(["hunt", *map(str, arguments), "--json"])
    out, said = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], said


@pytest.mark.parametrize("name", EXPECTED)
def test_rules_of_sigmas_network_log_sources_find_what_a_source_says(capsys, rules, name):
    code, found, said = hunt(capsys, SOURCES / name / "samples", "--rules", rules)
    assert {match["rule_title"] for match in found} == EXPECTED[name]
    assert code == 1, said


@pytest.mark.parametrize(
    ("path", "source", "titles"),
    [
        ("rules/network/zeek", "zeek", {
            "Executable from Webdav", "HTTP Request to Low Reputation TLD or Suspicious File Extension",
            "Kerberos Network Traffic RC4 Ticket Encryption", "MITRE BZAR Indicators for Execution",
            "Publicly Accessible RDP Service", "SMB Spoolss Name Piped Usage"}),
        ("rules/network/firewall", "pcap", {"Cleartext Protocol Usage"}),
        ("rules/network/dns", "pcap", {"DNS TXT Answer with Possible Execution Strings"}),
        ("rules/network/cisco", "cisco_asa", {"Cisco Clear Logs"}),
        ("rules/network/cisco", "cisco_ios", {"Cisco Clear Logs"}),
        ("rules/network/fortinet", "fortigate", {"FortiGate - New Administrator Account Created"}),
        ("rules/application/opencanary", "opencanary", {"OpenCanary - REDIS Action Command Attempt"}),
        ("rules/web/proxy_generic", "squid", {"Download From Suspicious TLD - Whitelist"}),
    ],
)  # fmt: skip
def test_rules_of_others_fire(capsys, tmp_path, path, source, titles):
    archive = DATA / "sigma-rules/sigma-rules.tar.zst"
    if not archive.is_file():
        pytest.skip("the shared data sets are not beside this checkout")
    with archive.open("rb") as file:
        stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file)
        with tarfile.open(fileobj=stream, mode="r|") as members:
            for member in members:
                if f"/{member.name}".find(f"/{path}/") >= 0 and member.name.endswith(".yml"):
                    (tmp_path / "sigma").mkdir(exist_ok=True)
                    text = members.extractfile(member).read()
                    (tmp_path / "sigma" / Path(member.name).name).write_bytes(text)
    _, found, _ = hunt(capsys, SOURCES / source / "samples", "--rules", tmp_path / "sigma")
    assert {match["rule_title"] for match in found} >= titles


def test_a_capture_without_tshark_is_bad_input_with_its_reason(capsys, tmp_path, rules, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    capture = tmp_path / "x.pcap"
    capture.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20))
    code, found, said = hunt(capsys, capture, "--rules", rules)
    assert (code, found) == (2, [])
    assert "reading captures takes tshark" in " ".join(said.split())
