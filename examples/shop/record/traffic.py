"""What happens around an attack: shoppers, operators who log in, release and infrastructure jobs.

    python3 traffic.py WORK SECONDS RATE        (in the outer namespace)

RATE is web requests a second. The choice of pages is seeded; their time is the clock's.
"""

from __future__ import annotations

import http.client
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import plan
from client import Cloud

SHOPPERS = 8  # threads
_APPLE = "AppleWebKit/537.36 (KHTML, like Gecko)"
_SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
AGENTS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_APPLE} Chrome/141.0.0.0 Safari/537.36",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_SAFARI} Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {_SAFARI} Version/18.5 Mobile Safari/604.1",
    "Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0",
)
CRAWLER = "ExampleCrawler/1.2 (+https://crawler.example/bot)"
FIRST = ("Anna", "Ben", "Çelik", "Dora", "Émile", "Femke", "Günter", "Hanna", "Ivo", "Jana", "Kofi", "Lea")
LAST = ("Smith", "Meyer", "Nguyen", "Kowalska", "Rossi", "van Dijk", "Okafor", "Söderberg", "Garcia-Lopez")
STREETS = (
    "Long Street",
    "Am Markt",
    "Rue de la Gare",
    "Hauptstraße",
    "Mill Lane",
    "St. Mary Road",
    "Via Roma",
)
TOWNS = ("Springfield", "Musterstadt", "Villeneuve", "Northport", "Bad Beispiel", "Westhaven")
WORDS = ("teapot", "lamp", "notebook", "wool blanket", "ink", "coffee", "bread knife", "umbrella")
ERRANDS = ("uptime", "df -h /", "ls /var/log", "tail -n 3 /var/log/syslog", "free -m", "ps -e", "date",
           "du -sh /var/log", "cat /etc/hosts", "ss -tln", "head -n 5 /etc/passwd")  # fmt: skip
SSH = ("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
       "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")  # fmt: skip
TYPED = "uptime\nid\nls -l /var/log\ngetent passwd health\nexit\n"
READS = (
    ("iam", "GetRole", {"RoleName": plan.ROLE}), ("iam", "ListRolePolicies", {"RoleName": plan.ROLE}),
    ("iam", "GetRolePolicy", {"RoleName": plan.ROLE, "PolicyName": "invoices"}),
    ("iam", "GetInstanceProfile", {"InstanceProfileName": plan.ROLE}), ("ec2", "DescribeInstances", {}),
)  # fmt: skip


class Pace:
    """Lets callers through at a rate."""

    def __init__(self, rate: float, until: float) -> None:
        """Set the rate (a second) and the end (monotonic seconds)."""
        self._gap, self._next, self.until = 1 / rate, time.monotonic(), until
        self._lock = threading.Lock()

    def wait(self) -> bool:
        """Wait for one's turn; False when it is over."""
        with self._lock:
            mine = self._next = max(self._next + self._gap, time.monotonic() - 1)
        time.sleep(max(0.0, mine - time.monotonic()))
        return time.monotonic() < self.until


def shop(number: int, pace: Pace) -> None:
    """Send one shopper after the other through the shop."""
    choose = random.Random(number)  # noqa: S311 - nothing secret
    while True:
        address, agent = choose.choice(plan.SHOPPERS), choose.choice(AGENTS)
        if choose.random() < 0.05:  # noqa: PLR2004
            agent = CRAWLER
        connection = http.client.HTTPConnection(plan.SHOP_PUBLIC, timeout=15, source_address=(address, 0))
        referer = "-"
        try:
            for method, path, form in _visit(choose, crawler=agent == CRAWLER):
                if not pace.wait():
                    return
                headers = {"User-Agent": agent}
                if referer != "-":
                    headers["Referer"] = referer
                connection.request(method, path, form.encode() or None, headers)
                connection.getresponse().read()
                referer = f"https://shop.example{path.partition('?')[0]}"
        except (OSError, http.client.HTTPException) as error:
            print(f"shopper at {address}: {error!r}", file=sys.stderr)  # a pod is being replaced
            time.sleep(0.5)
        finally:
            connection.close()


def _visit(choose: random.Random, *, crawler: bool) -> Iterator[tuple[str, str, str]]:
    """Yield the requests of one visit: method, path, form."""
    if crawler:
        yield "GET", "/robots.txt", ""
        for number in choose.sample(range(1001, 1021), 8):
            yield "GET", f"/article?number={number}", ""
        return
    customer = f"c{choose.randrange(10**6):06d}"
    yield "GET", "/", ""
    for _ in range(choose.randrange(1, 5)):
        if choose.random() < 0.4:  # noqa: PLR2004
            yield "GET", "/articles/search?" + urlencode({"words": choose.choice(WORDS)}), ""
        else:
            category = choose.choice(("kitchen", "light", "home", "paper"))
            yield "GET", f"/articles?category={category}&page={choose.choice((1, 1, 2))}", ""
        yield "GET", f"/article?number={choose.choice((*range(1001, 1021), 999))}", ""
    if choose.random() < 0.3:  # noqa: PLR2004
        return
    for _ in range(choose.randrange(1, 3)):
        article, pieces = choose.randrange(1001, 1021), choose.randrange(1, 4)
        form = urlencode({"customer": customer, "number": article, "pieces": pieces})
        yield "POST", "/basket/put", form
    yield "GET", f"/basket?customer={customer}", ""
    if choose.random() < 0.55:  # noqa: PLR2004
        text = urlencode({"text": _address(choose)}, quote_via=choose.choice((quote, _plus)))
        yield "GET", f"/labels/preview?{text}", ""
    if choose.random() < 0.6:  # noqa: PLR2004
        yield "POST", "/order/place", urlencode({"customer": customer})


def _address(choose: random.Random) -> str:
    name = f"{choose.choice(FIRST)} {choose.choice(LAST)}"
    street = f"{choose.choice(STREETS)} {choose.randrange(1, 200)}{choose.choice(('', 'a', '/2'))}"
    return f"{name}, {street}, {choose.randrange(10000, 99999)} {choose.choice(TOWNS)}"


def _plus(text: str, safe: str, encoding: str, errors: str) -> str:
    return quote(text, safe, encoding, errors).replace("%20", "+")


def operate(work: Path, until: float) -> None:
    """Log in now and then: to look at something, or to type; sometimes mistype one's name."""
    choose = random.Random(1)  # noqa: S311 - nothing secret
    count = 0
    while time.monotonic() < until:
        count += 1
        name = choose.choice(tuple(plan.OPERATORS))
        command = [*SSH, "-i", str(work / "keys" / name), "-b", plan.OFFICE]
        if count % 9 == 0:
            subprocess.run([*command, "-tt", f"{name}@{plan.SHOP_PUBLIC}"], input=TYPED.encode(), check=False,
                           capture_output=True, timeout=60)  # fmt: skip
        else:
            wrong = name[:-2] + name[-1] if count % 20 == 0 else name
            subprocess.run([*command, f"{wrong}@{plan.SHOP_PUBLIC}", choose.choice(ERRANDS)], check=False,
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=60)  # fmt: skip
        _sleep(choose.uniform(3, 11), until)


def administer(until: float) -> None:
    """Call the cloud as people, the infrastructure job and the release job do."""
    choose = random.Random(2)  # noqa: S311 - nothing secret
    token = "EXAMPLETOKEN" * 6
    terraform = Cloud(plan.TERRAFORM_KEY, token, plan.RUNNER, "APN/1.0 HashiCorp/1.0 Terraform/1.13.3")
    release = Cloud(
        plan.DEPLOY_KEY, token, plan.RUNNER, "aws-cli/2.31.7 md/awscrt#0.27.6 exec-env/GitHubActions"
    )
    while time.monotonic() < until:
        terraform.call("sts", "GetCallerIdentity")
        for service, action, parameters in READS:
            terraform.call(service, action, **parameters)
        terraform.s3("GET", f"/{plan.BUCKET}")
        release.call("sts", "GetCallerIdentity")
        for action in ("DescribeImages", "BatchGetImage", "BatchCheckLayerAvailability"):
            release.call("ecr", action, repositoryName="shop")
        release.call("eks", "DescribeCluster", name="shop")
        for _ in range(choose.randrange(2, 6)):
            _sleep(choose.uniform(1, 6), until)
            name = choose.choice(tuple(plan.OPERATOR_KEYS))
            person = Cloud(plan.OPERATOR_KEYS[name], "", plan.OFFICE, "aws-cli/2.31.7 md/Botocore#1.40")
            what = choose.randrange(5)
            if what == 0:
                person.s3("GET", "/")
            elif what == 1:
                person.call("monitoring", "GetMetricData", region=plan.REGION)
            elif what == 2:  # noqa: PLR2004
                person.call("iam", "ListUsers")  # people may not; they try now and then
            else:
                person.call("ec2", choose.choice(("DescribeInstances", "DescribeVolumes", "DescribeTags")))


def _sleep(seconds: float, until: float) -> None:
    time.sleep(max(0.0, min(seconds, until - time.monotonic())))


def main() -> None:
    """Run all of it for a while."""
    work, until = Path(sys.argv[1]), time.monotonic() + float(sys.argv[2])
    pace = Pace(float(sys.argv[3]), until)
    tasks: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        (operate, (work, until)),
        (administer, (until,)),
        *((shop, (number, pace)) for number in range(SHOPPERS)),
    ]
    threads = [threading.Thread(target=task, args=arguments) for task, arguments in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
