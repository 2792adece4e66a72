"""What came with the base of an image: which base, which line of which Dockerfile, and when it is not known."""

import json

import pytest
from builds import AT, MINUTE, OWNERS, SECOND, Change, Raw, broken, builds, told

from lemnis.app import attest_labels
from lemnis.app.origins import base_image
from lemnis.contracts.provenance import Strength
from lemnis.lessons.prevent.base import Base

BASE = "registry.example/base/python"
BAD, OTHER = "sha256:" + "bd" * 32, "sha256:" + "0e" * 32
IMAGE, CONTAINER = "sha256:" + "c1" * 32, "ad" * 32
PINNED = f'FROM {BASE}:3.12@{BAD}\nWORKDIR /srv\nCOPY shop/ shop/\nCMD ["python3", "-m", "shop"]\n'
TAGGED = PINNED.replace(f"@{BAD}", "")
MINES = "/opt/.k -o stratum+tcp://pool.example:3333"


def make(folder, dockerfile=PINNED, **more):
    files = {**OWNERS, "Dockerfile": dockerfile, "shop/__init__.py": "", "shop/start.sh": "", **more}
    return builds(folder, Change("begin", files))


def starts(
    world,
    *,
    first=("/usr/bin/dash", "/bin/sh", "/entry.sh", "python3", "-m", "shop"),
    after=SECOND,
    told_later=False,
):
    """A container starts, and what it starts first starts a miner."""
    raw = Raw(world.folder)
    raw.container(AT - after, CONTAINER, 500, IMAGE)
    if first:
        raw.starts(AT - after + 10, 500, 499, *first)
    parent = 500
    if told_later:
        raw.container(AT - SECOND, CONTAINER, 600, IMAGE)
        raw.starts(AT - SECOND, 600, 599, "/usr/bin/dash", "sh")
        parent = 600
    raw.starts(AT, 510, parent, "/opt/.k", *MINES.split())
    world.logs(raw.logs)
    return base_image.chains(world.alerted(MINES))


def based(chain):
    """The edge to the base that is believed; what a label says against the attestation is told before."""
    return [hop.edge for hop in chain.hops if hop.edge.relation == "based_on"][-1]


def labelled(world, **labels):
    path = world.folder / "image.json"
    names = {f"org.opencontainers.image.base.{name}": value for name, value in labels.items()}
    path.write_text(
        json.dumps([{"RepoDigests": [f"registry.example/shop@{IMAGE}"], "Config": {"Labels": names}}])
    )
    attest_labels.look(world.workspace, path)


def test_an_attested_base_is_traced_to_its_line(tmp_path):
    world = make(tmp_path)
    world.attested(IMAGE, "begin", ("registry.example/node", OTHER), (BASE, BAD))
    [found] = starts(world)
    assert told(found)[4:6] == [("based_on", BAD, "verified"), ("has_line", "shop:Dockerfile:1", "recorded")]
    assert found.holds
    assert found.facts.base == Base("base/python", BAD)
    assert found.events
    assert found.source.culprit == world.commits["shop"]["begin"]


def test_without_inputs_in_the_attestation_the_dockerfile_alone_tells(tmp_path):
    world = make(tmp_path)
    world.attested(IMAGE, "begin")
    [found] = starts(world)
    assert ("based_on", BAD, "recorded") in told(found)


def test_a_tag_names_a_base_and_not_which(tmp_path):
    world = make(tmp_path, TAGGED)
    world.attested(IMAGE, "begin")
    [found] = starts(world)
    assert told(found)[4:6] == [
        ("based_on", f"{BASE}:3.12", "label"),
        ("has_line", "shop:Dockerfile:1", "label"),
    ]
    assert found.facts.base == Base("base/python", "")


def test_a_label_tells_which_image_a_tag_led_to(tmp_path):
    world = make(tmp_path, TAGGED)
    world.attested(IMAGE, "begin")
    labelled(world, name=f"{BASE}:3.12", digest=BAD)
    [found] = starts(world)
    assert ("based_on", BAD, "label") in told(found)
    assert found.facts.base == Base("base/python", BAD)


def test_an_attestation_tells_it_by_name_where_a_tag_stands(tmp_path):
    world = make(tmp_path, TAGGED)
    world.attested(IMAGE, "begin", (BASE, BAD))
    [found] = starts(world)
    assert ("based_on", BAD, "verified") in told(found)


@pytest.mark.parametrize("labels", [{"digest": OTHER}, {"name": "registry.example/base/node:22"}])
def test_a_label_that_contradicts_is_told(tmp_path, labels):
    world = make(tmp_path)
    world.attested(IMAGE, "begin")
    labelled(world, **labels)
    [found] = starts(world)
    assert based(found).strength is Strength.NAME_MATCH
    [said] = based(found).evidence["contradicted_by"]
    assert next(iter(labels.values())) in said


def test_a_label_does_not_shake_an_attestation_but_is_told(tmp_path):
    world = make(tmp_path)
    world.attested(IMAGE, "begin", (BASE, BAD))
    labelled(world, digest=OTHER)
    [found] = starts(world)
    assert ("based_on", BAD, "verified") in told(found)
    assert based(found).evidence["contradicted_by"] == [f"org.opencontainers.image.base.digest says {OTHER}"]


def test_an_attestation_that_no_dockerfile_bears_out_breaks_the_chain(tmp_path):
    world = make(tmp_path)
    world.attested(IMAGE, "begin", (BASE, OTHER))
    [found] = starts(world)
    relation, why = broken(found)
    assert relation == "based_on"
    assert OTHER in why
    assert "Dockerfile builds on" in why


def test_several_dockerfiles_of_one_base_are_told_apart_by_what_the_container_started(tmp_path):
    jobs = PINNED.replace('"shop"]', '"jobs"]')
    world = make(tmp_path, **{"Jobfile.Dockerfile": jobs})
    world.attested(IMAGE, "begin", (BASE, BAD))
    [found] = starts(world)
    assert ("has_line", "shop:Dockerfile:1", "recorded") in told(found)


def test_of_several_that_may_be_meant_none_is_sure(tmp_path):
    world = make(tmp_path, **{"web.Dockerfile": PINNED})
    world.attested(IMAGE, "begin", (BASE, BAD))
    [found] = starts(world)
    assert found.strength is Strength.NAME_MATCH
    assert based(found).evidence["others"] == [f"web.Dockerfile builds on {BASE}:3.12@{BAD}"]


def test_commands_of_the_dockerfile_may_have_brought_it(tmp_path):
    world = make(tmp_path, PINNED.replace("CMD", "RUN apt-get install -y cron\nCMD"))
    world.attested(IMAGE, "begin", (BASE, BAD))
    [found] = starts(world)
    assert ("has_line", "shop:Dockerfile:1", "label") in told(found)


@pytest.mark.parametrize(
    "first",
    [("/usr/sbin/nginx", "nginx", "-g", "daemon off;"), ("/usr/bin/python3", "python3", "/usr/lib/serve.py")],
)
def test_a_server_of_the_base_may_have_been_asked_for_it(tmp_path, first):
    world = make(tmp_path, f"FROM {BASE}:3.12@{BAD}\nCOPY pages/ /usr/share/pages/\n")
    world.attested(IMAGE, "begin", (BASE, BAD))
    [found] = starts(world, first=first)
    assert ("has_line", "shop:Dockerfile:1", "name_match") in told(found)
    assert "may have been asked" in found.hops[5].edge.evidence["weaker"][0]


@pytest.mark.parametrize(
    "first",
    [
        ("/usr/bin/python3", "python3", "-m", "shop"),
        ("/usr/bin/dash", "/bin/sh", "/srv/shop/start.sh"),
        ("/usr/bin/dash", "sh", "-e", "shop/start.sh"),
        ("/srv/shop/tool", "tool"),
        (),  # nobody saw what the container started with
    ],
)
def test_what_own_files_may_have_started_did_not_come_with_the_base(tmp_path, first):
    world = make(tmp_path)
    world.attested(IMAGE, "begin", (BASE, BAD))
    assert starts(world, first=first) == []


def test_what_runs_long_after_the_start_or_was_told_to_run_later_did_not(tmp_path):
    world = make(tmp_path)
    world.attested(IMAGE, "begin", (BASE, BAD))
    assert starts(world, after=2 * MINUTE) == []


def test_what_somebody_told_a_container_to_run_later_did_not(tmp_path):
    world = make(tmp_path)
    world.attested(IMAGE, "begin", (BASE, BAD))
    assert starts(world, after=30 * SECOND, told_later=True) == []


def test_without_dockerfile_or_attestation_there_is_no_chain(tmp_path):
    world = make(tmp_path, "# nothing\n")
    assert starts(world) == []
    world.attested(IMAGE, "begin", (BASE, BAD))
    assert base_image.chains(world.alerted(MINES)) == []
