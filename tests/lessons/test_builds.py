"""What an action's code or a package's script started in an attack and never otherwise."""

import sys
from pathlib import Path

import pytest
import yaml

from lemnis.app.rules_test import test_rules as try_rules
from lemnis.content.library import Library
from lemnis.lessons.builds import from_builds
from lemnis.lessons.compile import sigma
from lemnis.lessons.shapes import SHAPES

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))
from buildlogs import Runner
from harness import AT

SHAPE = SHAPES[-1]
WORK = "/opt/actions-runner/_work"
ACTION = f"node {WORK}/_actions/quick-ci/changed-files/v45/dist/index.js"
PACKAGE = f"{WORK}/shop/shop/node_modules/tiny-labels"


def row(image, parent="node build.js", folder=f"{WORK}/shop/shop"):
    return {"Image": image, "ParentCommandLine": parent, "CurrentDirectory": folder}


def names(attack, *others):
    return [one.name for one in from_builds(SHAPE.logsource, attack, others)]


def test_only_what_actions_and_packages_never_started_counts():
    shell, git = row("/usr/bin/dash", ACTION), row("/usr/bin/git", ACTION)
    assert names([shell, git], git, row("/usr/bin/dash")) == ["an action starting dash"]
    assert names([shell], shell) == []
    curl, node = row("/usr/bin/curl", folder=PACKAGE), row("/usr/bin/node", folder=PACKAGE)
    assert names([curl, node], node, row("/usr/bin/curl")) == ["a script in a package's folder starting curl"]
    assert names([row("/usr/bin/curl")]) == []  # elsewhere builds do as they like
    assert names([row(None, ACTION), row("/usr/bin/dash", None, None)]) == []


def started(exe, *words, folder, parent=()):
    """Raw records of a process and of its parent."""
    runner = Runner("build-1")
    above = runner.run(AT, 900, parent[0], parent, folder) if parent else 900
    runner.run(AT + 10, above, exe, words, folder)
    return "".join(text for _, text in runner.lines)


SHOP = f"{WORK}/shop/shop"
CASES = {
    "an action starting dash": [
        ("elsewhere", True, started("/usr/bin/dash", "sh", "-c", "id", folder="/home/x", parent=["/node", "/r/_work/_actions/a/b/v1/i.js"])),
        ("something else", False, started("/usr/bin/git", "git", "diff", folder=SHOP, parent=["/node", f"{WORK}/_actions/a/b/v1/i.js"])),
        ("a step", False, started("/usr/bin/dash", "sh", "-c", "id", folder=SHOP, parent=["/bash", f"{WORK}/_temp/1.sh"])),
    ],
    "a script in a package's folder starting curl": [
        ("npm, elsewhere", True, started("/usr/bin/curl", "curl", "x", folder="/home/x/node_modules/@a/b", parent=["/node", "x.js"])),
        ("pip", True, started("/usr/bin/curl", "curl", "x", folder=f"/srv/pip-install-x1/b_{'0' * 32}", parent=["/python3", "-c", "x"])),
        ("something else", False, started("/usr/bin/node", "node", "x.js", folder=PACKAGE, parent=["/node", "npm"])),
        ("a step", False, started("/usr/bin/curl", "curl", "x", folder=SHOP, parent=["/bash", "x.sh"])),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_rule_goes_by_the_place(tmp_path, name):
    attack = [row("/usr/bin/dash", ACTION), row("/usr/bin/curl", folder=PACKAGE)]
    [candidate] = [one for one in from_builds(SHAPE.logsource, attack, []) if one.name == name]
    item = tmp_path / "content" / "detections" / "lesson_x"
    item.mkdir(parents=True)
    (item / "rule.yml").write_text(sigma("2026-123456", candidate, title=name, tags=(), description="d"))
    cases = [
        {"name": case, "source": "linux_audit", "fires": fires, "records": records}
        for case, fires, records in CASES[name]
    ]
    (item / "tests.yml").write_text(yaml.safe_dump(cases))
    [tested] = try_rules(Library.open(tmp_path / "content"), ["lesson_x"])
    assert [(one.case, one.trouble) for one in tested.results if not one.passed] == []
    assert len(tested.results) == len(cases)
