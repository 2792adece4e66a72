"""Out of a container: which line of which manifest gave it the power to, and when nobody can say."""

import pytest
from clusters import (
    AT,
    HOUR,
    OWNERS,
    SINCE,
    TUNER,
    URL,
    Change,
    alerted,
    audited,
    broken,
    cloud,
    collect,
    deployed,
    of,
    read,
    told,
)

from lemnis.app.origins import cluster_object
from lemnis.contracts.provenance import Strength
from lemnis.interfaces.cli.commands import trace as command

ESCAPE = "attack.t1611"
HEAD = """\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: tuner
  namespace: ops
spec:
  template:
    spec:
      hostPID: true
      containers:
        - name: tuner
          image: registry.example/tuner:1
"""
MOUNT = """\
          volumeMounts:
            - {name: root, mountPath: /host}
      volumes:
        - name: logs
          hostPath: {path: /var/log}
        - name: root
          hostPath:
            path: /
"""
OPEN = HEAD + "          securityContext:\n            privileged: true\n" + MOUNT
PRIVILEGED, ROOT, PID = 14, 22, 9
CLOSED = HEAD.replace("      hostPID: true\n", "")
FILE = "data/tuner.yaml"
STORY = (
    Change("begin", {**OWNERS, FILE: CLOSED}),
    Change("opens", {FILE: OPEN}),
    Change("closes", {FILE: CLOSED}),
)


def broke_out(world, program="/usr/bin/nsenter", words="-t 1 -m -p sh"):
    """Somebody breaks out; return the chains."""
    read(
        world,
        tetragon=[
            TUNER.starts(AT - 60_000, 700, 400, "/bin/sh", "", "/usr/bin/containerd-shim"),
            TUNER.starts(AT, 702, 700, program, words),
        ],
    )
    return cluster_object.chains(alerted(world, ESCAPE))


def test_a_record_of_the_deployment_leads_to_the_line(tmp_path):
    world = cloud(tmp_path, *STORY)
    collect(world, *TUNER.objects(SINCE))
    deployed(world, "ops/tuner", "opens")
    [chain] = broke_out(world)
    commits = world.commits["infra"]
    assert told(chain) == [
        ("runs_in", TUNER.container, "observed"),
        ("part_of", "ops/tuner", "recorded"),
        ("defined_by", "eu/DaemonSet/ops/tuner", "recorded"),
        ("defined_by", commits["opens"], "recorded"),
        ("has_line", f"infra:{FILE}:{PRIVILEGED}", "recorded"),
        ("introduced_by", commits["opens"], "recorded"),
        ("owned_by", "@shop/data", "label"),
    ]
    line = chain.hops[4].edge.evidence
    assert line["findings"] == ["lemnis:kubernetes_privileged critical"]
    assert line["also"][0] == f"spec.hostPID (line {PID})"
    assert (chain.facts.setting.steps, chain.facts.setting.value) == (("securityContext", "privileged"), True)
    assert chain.first.process.pid == 702


def test_who_changes_into_a_folder_went_through_its_volume(tmp_path):
    world = cloud(tmp_path, *STORY)
    collect(world, *TUNER.objects(SINCE))
    deployed(world, "ops/tuner", "opens")
    [chain] = broke_out(world, "/usr/sbin/chroot", "/host /bin/sh")
    assert chain.source.located.line == ROOT
    assert chain.facts.setting.steps == ("spec", "volumes", 1, "hostPath", "path")


def test_a_name_alone_is_weak_and_says_so(tmp_path):
    world = cloud(
        tmp_path, STORY[0], STORY[1], other=[Change("begin", {"x.yaml": CLOSED.replace("tuner", "other")})]
    )
    collect(world, *TUNER.objects(SINCE))
    [chain] = broke_out(world)
    assert chain.holds
    assert chain.strength is Strength.NAME_MATCH
    [hop] = [hop for hop in chain.hops if hop.edge.method == "manifest_name"]
    assert "no record says of which commit" in hop.edge.evidence["weaker"][0]


def test_of_two_repositories_that_declare_it_neither_is_guessed(tmp_path):
    world = cloud(tmp_path, *STORY[:2], other=STORY[:2])
    collect(world, *TUNER.objects(SINCE))
    [chain] = broke_out(world)
    assert broken(chain) == (
        "defined_by",
        "DaemonSet/ops/tuner is declared in several repositories: infra, other",
    )


def test_nothing_declares_it(tmp_path):
    world = cloud(tmp_path, Change("begin", OWNERS))
    collect(world, *TUNER.objects(SINCE))
    [chain] = broke_out(world)
    assert "no repository of the settings has a manifest of DaemonSet/ops/tuner" in broken(chain)[1]


@pytest.mark.parametrize(
    ("change", "why"),
    [("0" * 40, "no commit"), ("begin", "has no manifest of DaemonSet/ops/tuner")],
)
def test_a_record_that_does_not_hold_is_no_ground_for_a_guess(tmp_path, change, why):
    world = cloud(tmp_path, Change("begin", OWNERS), *STORY[1:2])
    collect(world, *TUNER.objects(SINCE))
    deployed(world, "ops/tuner", change)
    [chain] = broke_out(world)
    relation, reason = broken(chain)
    assert relation == "defined_by"
    assert why in reason


def test_what_runs_is_not_what_was_committed(tmp_path):
    world = cloud(tmp_path, *STORY)
    collect(world, *TUNER.objects(SINCE))
    deployed(world, "ops/tuner", "closes")
    [chain] = broke_out(world)
    assert broken(chain) == (
        "has_line", "no manifest of DaemonSet/ops/tuner lets a container out: what runs is not what was committed",
    )  # fmt: skip


def gitops(world, change, *, folder="data", annotated="tuner"):
    """Argo CD says what it applied, and the objects that it did."""
    tracked = {"argocd.argoproj.io/tracking-id": f"{annotated}:apps/DaemonSet:ops/tuner"}
    controller, pod = TUNER.objects(SINCE)
    controller["metadata"]["annotations"] = tracked
    source = {"repoURL": URL.format("infra"), "path": folder}
    sync = {"sync": {"revision": world.commits["infra"][change]}}
    collect(
        world,
        controller,
        pod,
        of("Application", "tuner", {"spec": {"source": source}, "status": sync}, space="argocd"),
    )


def test_gitops_says_of_which_commit_and_folder(tmp_path):
    world = cloud(tmp_path, *STORY[:2], Change("staging", {"a/tuner.yaml": OPEN}))
    gitops(world, "staging")
    [chain] = broke_out(world)
    assert chain.source.located.path == FILE
    assert chain.strength is Strength.LABEL
    [hop] = [hop for hop in chain.hops if hop.edge.target.value == world.commits["infra"]["staging"]]
    assert hop.edge.evidence["way"] == [
        "defined_by iac_resource:eu/argocd/tuner (label)",
        f"built_from commit:{world.commits['infra']['staging']} (recorded)",
    ]


def test_two_that_declare_it_alike_are_told(tmp_path):
    world = cloud(tmp_path, *STORY[:2], Change("staging", {"a/tuner.yaml": OPEN}))
    deployed(world, "ops/tuner", "staging")
    collect(world, *TUNER.objects(SINCE))
    [chain] = broke_out(world)
    [hop] = [hop for hop in chain.hops if hop.edge.relation == "has_line"]
    assert hop.edge.strength is Strength.NAME_MATCH
    assert hop.edge.evidence["several"] == [FILE]


def test_a_record_is_believed_before_a_label_and_both_are_told(tmp_path):
    world = cloud(tmp_path, *STORY)
    gitops(world, "closes")
    deployed(world, "ops/tuner", "opens")
    [chain] = broke_out(world)
    [hop] = [
        hop
        for hop in chain.hops
        if hop.edge.target.value == world.commits["infra"]["opens"] and hop.edge.relation == "defined_by"
    ]
    assert hop.edge.strength is Strength.RECORDED
    assert hop.edge.evidence["contradicted_by"] == [f"kubernetes: {world.commits['infra']['closes']}"]


def test_two_records_of_equal_weight_are_a_mere_name(tmp_path):
    world = cloud(tmp_path, *STORY[:2], Change("more", {"README.md": "x\n"}))
    collect(world, *TUNER.objects(SINCE))
    deployed(world, "ops/tuner", "opens", at=SINCE)
    deployed(world, "ops/tuner", "more", at=SINCE, number=8)
    [chain] = broke_out(world)
    assert chain.strength is Strength.NAME_MATCH
    [hop] = [hop for hop in chain.hops if "contradicted_by" in hop.edge.evidence]
    assert hop.edge.strength is Strength.NAME_MATCH


def test_a_manifest_without_a_namespace_is_of_whoever_applies_it(tmp_path):
    world = cloud(tmp_path, Change("begin", {**OWNERS, FILE: OPEN.replace("  namespace: ops\n", "")}))
    collect(world, *TUNER.objects(SINCE))
    deployed(world, "ops/tuner", "begin")
    [chain] = broke_out(world)
    assert chain.hops[4].edge.strength is Strength.LABEL


def test_another_namespace_is_another_object(tmp_path):
    world = cloud(
        tmp_path, Change("begin", {**OWNERS, FILE: OPEN.replace("namespace: ops", "namespace: test")})
    )
    collect(world, *TUNER.objects(SINCE))
    [chain] = broke_out(world)
    assert broken(chain)[0] == "defined_by"


def test_a_cluster_that_was_not_collected(tmp_path):
    world = cloud(tmp_path, *STORY)
    [chain] = broke_out(world)
    assert told(chain)[1] == ("part_of", "ops/tuner", "label")  # the sensor names it
    assert "lemnis graph collect" in broken(chain)[1]


def test_the_graph_is_asked_as_of_then(tmp_path):
    world = cloud(tmp_path, *STORY)
    collect(world, *TUNER.objects(SINCE))
    deployed(world, "ops/tuner", "opens", at=SINCE)
    deployed(world, "ops/tuner", "closes", at=AT + HOUR, number=8)
    [chain] = broke_out(world)
    assert chain.source.deployed == world.commits["infra"]["opens"]


def test_a_request_to_the_api_server_begins_at_the_object(tmp_path):
    world = cloud(tmp_path, *STORY)
    deployed(world, "ops/tuner", "opens")
    collect(world, *TUNER.objects(SINCE))
    read(world, kubernetes_audit=[
        audited(AT, "patch", "daemonsets", "ops", "tuner", "ci", "10.0.0.9"),
        audited(AT + 1, "get", "daemonsets", "ops", "tuner", "ci", "10.0.0.9"),
        audited(AT + 2, "create", "services", "ops", "tuner", "ci", "10.0.0.9"),
    ])  # fmt: skip
    [chain] = cluster_object.chains(alerted(world, ESCAPE))
    assert str(chain.begin) == "cluster_object:eu/DaemonSet/ops/tuner"
    assert [relation for relation, *_ in told(chain)] == [
        "defined_by",
        "has_line",
        "introduced_by",
        "owned_by",
    ]
    assert len(chain.alerts) == 1
    assert chain.first is None


def test_what_broke_nowhere_out_is_nothing_of_ours(tmp_path):
    world = cloud(tmp_path, *STORY)
    read(world, tetragon=[TUNER.starts(AT, 702, 700, "/usr/bin/id")])
    assert cluster_object.chains(alerted(world, "attack.t1059")) == []


def test_capabilities_and_namespaces_are_ways_too(tmp_path):
    text = CLOSED + "          securityContext: {capabilities: {add: [NET_ADMIN, CAP_SYS_ADMIN]}}\n"
    text = text.replace("    spec:\n      containers", "    spec:\n      hostIPC: true\n      containers")
    world = cloud(tmp_path, Change("begin", {**OWNERS, FILE: text}))
    collect(world, *TUNER.objects(SINCE))
    deployed(world, "ops/tuner", "begin")
    [chain] = broke_out(world)
    assert chain.facts.setting.steps == ("securityContext", "capabilities", "add", 1)
    assert chain.hops[4].edge.evidence["also"] == ["spec.hostIPC (line 9)"]


def test_what_is_known_of_a_hop_is_shown(tmp_path):
    world = cloud(tmp_path, *STORY)
    gitops(world, "closes")
    deployed(world, "ops/tuner", "opens")
    [chain] = broke_out(world)
    said = "\n".join(line for hop in chain.hops for line in command.evidence(hop))
    for words in (
        "object DaemonSet/ops/tuner", "attribute securityContext.privileged", f"also: spec.hostPID (line {PID})",
        "known by: deployed_by workflow_run:https://ci.example/runs/7 (recorded), triggered_by commit:",
        f"another says: kubernetes: {world.commits['infra']['closes']}",
    ):  # fmt: skip
        assert words in said, said
