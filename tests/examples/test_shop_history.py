"""The example shop's git history: the same everywhere, and what its scanner of the day says of it."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

SHOP = Path(__file__).parents[2] / "examples/shop"
CULPRIT, FIX, RELEASE = "12-label-preview", "18-fix-label-preview", "17-release"
MAIN = "bdf19998cfbbda01ce21fa180e3b92c7ff93b491"
DIGEST = "sha256:146dac0ec61bda85feb1208991c34c912e38ccd21222462b86046839d3334c40"


def _load(path):
    spec = importlib.util.spec_from_file_location(f"shop_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _git(repository, *arguments):
    done = subprocess.run(["git", "-C", str(repository), *arguments], check=True, capture_output=True)
    return done.stdout.decode()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    target = tmp_path_factory.mktemp("history") / "shop"
    return target, _load(SHOP / "make_history.py").make(target)


def test_the_ids_do_not_depend_on_the_machine(shop, tmp_path, monkeypatch):
    for name, value in {
        "GIT_AUTHOR_NAME": "Someone Else",
        "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z",
        "TZ": "Asia/Tokyo",
        "GIT_DIR": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    again = _load(SHOP / "make_history.py").make(tmp_path / "again")
    assert again == shop[1]
    assert again["main"] == MAIN


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    done = subprocess.run(
        [sys.executable, SHOP / "make_history.py", tmp_path], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_work_tree_is_that_of_main(shop):
    repository, made = shop
    assert _git(repository, "status", "--porcelain") == ""
    assert _git(repository, "rev-parse", "HEAD", "fix/label-preview^", "v1.6.0").split() == [MAIN] * 3
    assert _git(repository, "rev-list", "--count", "main").strip() == "17"
    assert _git(repository, "symbolic-ref", "--short", "HEAD").strip() == "main"
    assert made["branches"] == {"fix/label-preview": made["commits"][FIX]}


def test_the_culprit_is_neither_first_nor_last_and_others_follow(shop):
    repository, made = shop
    after = _git(repository, "log", "--format=%an", f"{made['commits'][CULPRIT]}..main").split("\n")[:-1]
    assert len(after) >= 3
    assert "Elif Kaya" not in after
    blamed = _git(repository, "blame", "--porcelain", "main", "--", "shop/printing.py")
    assert set(re.findall(r"^([0-9a-f]{40}) ", blamed, re.MULTILINE)) == {made["commits"][CULPRIT]}


def test_the_shops_own_tests_pass_before_and_after_the_fix(shop, tmp_path):
    repository, made = shop
    for commit in (made["main"], made["commits"][FIX]):
        tree = tmp_path / commit
        _git(repository, "worktree", "add", "--detach", str(tree), commit)
        # `-W default`: the shop is held to its own rules, not to ours.
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", "tests"],
            cwd=tree, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tree)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        _git(repository, "worktree", "remove", "--force", str(tree))


def test_the_preview_ran_commands_and_no_longer_does(shop, tmp_path):
    repository, made = shop
    found = {}
    for commit in (made["main"], made["commits"][FIX]):
        code = tmp_path / "printing.py"
        code.write_text(_git(repository, "show", f"{commit}:shop/printing.py"))
        found[commit] = _load(code).break_lines("x;expr 20 + 22", 28)
    assert found[made["main"]].split() == ["x", "42"]
    assert found[made["commits"][FIX]] == "x;expr 20 + 22\n"


def test_the_scanner_of_the_day_says_nothing_above_low(shop, tmp_path):
    pytest.importorskip("bandit")
    repository, made = shop
    seen = {}
    for name, commit in made["commits"].items():
        tree = tmp_path / name
        tree.mkdir()
        archive = subprocess.run(
            ["git", "-C", repository, "archive", commit], check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
        done = subprocess.run(
            [sys.executable, "-m", "bandit", "-r", ".", "-f", "json", "-q"],
            cwd=tree, check=False, capture_output=True, text=True,
        )  # fmt: skip
        report = json.loads(done.stdout)
        assert not report["errors"]
        seen[name] = {
            (r["filename"].removeprefix("./"), r["test_id"], r["issue_cwe"].get("id"))
            for r in report["results"]
        }
        assert {result["issue_severity"] for result in report["results"]} <= {"LOW"}
    names = list(seen)
    new = {name: seen[name] - seen[before] for before, name in pairwise(names)}
    assert ("shop/printing.py", "B603", 78) in new[CULPRIT]
    assert not any(path == "shop/printing.py" for path, _, _ in seen[FIX])
    # What a gate's width costs: other commits bring B603, and one brings the weakness without that rule.
    bring = [name for name, found in new.items() if any(rule == "B603" for _, rule, _ in found)]
    assert bring == ["04-image", "10-release-notes", CULPRIT]
    assert {rule for _, rule, cwe in new["15-image-test"] if cwe == 78} == {"B404"}


def test_the_image_has_the_same_digest_from_every_clone(shop, tmp_path):
    repository, made = shop
    _git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare")
    build = _load(repository / "tools/build_image.py").build
    digest, layout = build(repository, "v1.6.0")
    assert (digest, layout) == build(tmp_path / "bare", made["commits"][RELEASE])
    assert digest == DIGEST
    assert build(repository, "fix/label-preview")[0] != digest


def test_the_recording_is_of_that_image():
    manifest = json.loads((SHOP / "recording/manifest.json").read_bytes())
    assert (manifest["release"]["commit"], manifest["release"]["digest"]) == (MAIN, DIGEST)


def test_the_image_takes_nothing_from_the_work_tree(shop, tmp_path):
    repository, _ = shop
    build = _load(repository / "tools/build_image.py").build
    _git(tmp_path, "clone", "--quiet", str(repository), "dirty")
    (tmp_path / "dirty/shop/web.py").write_text("changed")
    (tmp_path / "dirty/shop/new.py").write_text("new")
    assert build(tmp_path / "dirty", "HEAD")[0] == DIGEST
