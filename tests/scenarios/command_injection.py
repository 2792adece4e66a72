"""Command injection: a handler hands a customer's text to a shell. Traced to the line, refused as a code pattern."""

from urllib.parse import quote, quote_plus

from everyday import history
from harness import AT, HOUR, LATER, MINUTE, Change, Scenario, line
from rawlogs import Raw

IMAGE = "sha256:" + "c1" * 32
CONTAINER = "c0ffee01" * 8
ATTACKER = "198.51.100.7"
NAMES = ("Anna Smith", "Émile Garcia-Lopez", "12 Long Street", "St. Mary Road 3", "Bad Beispiel", "van Dijk")
WEB = """\
from shop import labels

def preview(query):
    return labels.preview(query["text"])

def front(query):
    return "hello"

ROUTES = {"/labels/preview": preview, "/": front}
"""
HOLE = """\
import subprocess

def preview(text):
    return subprocess.run(["/bin/sh", "-c", f"echo {text} | fold -w 28"], capture_output=True).stdout
"""
FIXED = """\
import textwrap

def preview(text):
    return textwrap.wrap(text, 28)
"""
GIT = """\
import subprocess

def notes():
    return subprocess.run(["/usr/bin/git", "log"], capture_output=True).stdout
"""
DISK = """\
import subprocess

def free():
    return subprocess.check_output(["/usr/bin/df", "--output=avail", "/srv"])
"""
OWNERS = "* @shop/all\n/shop/labels.py @shop/shipping\n"


OTHERS = (
    "Smith & Sons",
    "Anna Smith",
    "c/o Renée: 2nd floor",
    "Kids' corner (blue)",
    "Müller, 3/4",
    "<Rosa>",
)


def ordinary(folder, start=AT - HOUR, *, container=True, names=NAMES):
    """Shoppers look at labels."""
    raw = Raw(folder, serial=start % 1_000_000)
    if container:
        raw.container(start - MINUTE, CONTAINER, 500, IMAGE, "shop/web")
        raw.starts(start - MINUTE + 100, 500, 499, "/usr/bin/python3.11", "python3", "-m", "shop")
    for number in range(50):
        at, client = start + number * MINUTE, f"203.0.113.{number % 20 + 1}"
        preview(raw, at, client, names[number % len(names)], 1000 + number * 10, plus=number % 2 == 0)
        raw.asks(at + 500, client, "/?page=2")
    return raw.logs


def attack(folder):
    """Somebody tries what the preview does with a pipe, then looks around, then asks for the machine's keys."""
    raw = Raw(folder, serial=AT % 1_000_000)
    preview(raw, AT - 20_000, ATTACKER, "Test|rev", 2000, ("/usr/bin/rev", "rev"))
    preview(raw, AT - 10_000, ATTACKER, "x;id", 2010, ("/usr/bin/id", "id"), plus=True)
    preview(raw, AT - 5_000, ATTACKER, "x;whoami", 2020, ("/usr/bin/whoami", "whoami"))
    curl = ("curl", "-s", "http://169.254.169.254/latest/meta-data/iam/security-credentials/")
    preview(raw, AT, ATTACKER, f"x;{' '.join(curl)}", 2030, ("/usr/bin/curl", *curl))
    return raw.logs


def variant(folder):
    """Somebody else, from elsewhere, with another way to chain commands, and other commands."""
    raw = Raw(folder, serial=LATER % 1_000_000)
    preview(raw, LATER, "192.0.2.77", "`hostname`", 4000, ("/usr/bin/hostname", "hostname"))
    preview(raw, LATER + 9_000, "192.0.2.77", "$(nproc)", 4010, ("/usr/bin/nproc", "nproc"))
    return raw.logs


def benign_hour(folder):
    """The same hour a day later; some write their names with what nobody had written before."""
    return ordinary(folder, LATER - HOUR, container=False, names=OTHERS)


def preview(raw, at, client, text, pid, *children, plus=False):
    """Someone asks for a preview: a shell runs, and in it fold, and what was injected."""
    raw.asks(at, client, "/labels/preview?text=" + (quote_plus(text) if plus else quote(text, safe="")))
    raw.starts(at + 40, pid, 500, "/usr/bin/dash", "/bin/sh", "-c", f"echo {text} | fold -w 28")
    for number, (exe, *arguments) in enumerate((*children, ("/usr/bin/fold", "fold", "-w", "28")), 1):
        raw.starts(at + 40 + 10 * number, pid + number, pid, exe, *arguments)


SCENARIO = Scenario(
    repository="shop",
    changes=history(
        Change("Begin", {"shop/__init__.py": "", "shop/web.py": WEB, "CODEOWNERS": OWNERS}),
        Change("Preview of labels", {"shop/labels.py": HOLE}, author="Robin New", name="culprit"),
        near=(
            Change("Release notes from git", {"tools/notes.py": GIT}),
            Change("How much room is left", {"tools/disk.py": DISK}),
            Change("Say hello in the tests", {"tests/test_web.py": "from shop.web import front\n\n"
                   "def test_front():\n    assert front({}) == 'hello'\n"}),
        ),
        fix=Change("Wrap without a shell", {"shop/labels.py": FIXED}, name="fix"),
    ),
    cause=f"shop/labels.py:{line(HOLE, 'subprocess.run')}",
    owner="@shop/shipping",
    kind="code pattern",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=lambda world: world.attest(IMAGE),
)  # fmt: skip
