import orjson
import pytest

from lemnis import app
from lemnis.app import attest, attest_statements, gates, settings
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import InputError, IntegrityError, NotFoundError
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.graph import attestation, statements
from lemnis.interfaces.cli import run
from lemnis.store.git import Repository

AT = 1_770_000_000_000
BUILDER = "https://ci.example/shop"
IMAGE = "sha256:" + "ab" * 32
JUNIT = '<testsuite><testcase classname="a" name="one"/><testcase name="two">{}</testcase></testsuite>'


@pytest.fixture
def workspace(tmp_path):
    attest.keygen(tmp_path / "key")
    made = app.init(tmp_path / "w", clock=ManualClock(AT))
    trust(made, tmp_path, "")
    return made


def trust(workspace, folder, more):
    pem = (folder / "key.pub").read_text()
    text = "".join(f"      {line}\n" for line in pem.splitlines())
    (workspace.root / "lemnis.yaml").write_text(
        f"name: w\nbuilders:\n  - id: {BUILDER}\n    key: |\n{text}{more}"
    )


@pytest.fixture
def key(tmp_path, workspace):
    return tmp_path / "key"


def states(workspace):
    return {kind: state for kind, (state, _) in attest.statements(workspace, IMAGE).items()}


def command(workspace, key, *arguments):
    return run(
        ["attest", *map(str, arguments), "--image", IMAGE, "--key", str(key), "-w", str(workspace.root)]
    )


def test_a_build_attests_what_it_made_and_the_release_gate_sees_it(workspace, key, tmp_path):
    assert set(states(workspace).values()) == {"missing"}
    bom, junit = tmp_path / "bom.json", tmp_path / "junit.xml"
    bom.write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}')
    junit.write_text(JUNIT.format(""))
    shop = Repository.create(tmp_path / "shop")
    (shop.path / "x.md").write_text("x")
    commit = shop.commit_all("c", author="A <a@example.org>", at=AT)
    assert command(workspace, key, "sbom", bom) == 0
    assert command(workspace, key, "tests", junit) == 0
    with pytest.raises(NotFoundError, match="not asked"):
        attest_statements.gate(workspace, "build", f"commit:{commit}", verifier="urn:x")
    made = gates.code(workspace, "build", shop, "HEAD")
    assert command(workspace, key, "gate", "--repo", shop.path) == 0
    said = states(workspace)
    assert (said["sbom"], said["tests"], said["scan"]) == ("verified", "verified", "missing")
    assert said["gate"] == ("verified" if made.effect.value == "allow" else "invalid")
    missing = [r.message for r in gates.image(workspace, "release", IMAGE).reasons if "scan of" in r.message]
    assert missing == ["scan of the image: missing"]


def test_failed_tests_and_incomplete_scans_count_as_invalid(workspace, key, tmp_path):
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT.format("<failure/>"))
    assert command(workspace, key, "tests", junit) == 0
    assert attest.statements(workspace, IMAGE)["tests"] == ("invalid", "1 test failed")
    lame = ScanHealth("trivy", "1", Health.UNKNOWN, 0, ("no data",), 5, rules="sha256:1", data_until=AT)
    predicate = statements.scan_predicate(ScanReport((), (lame,)), now=AT)
    attest.state(workspace, "scan", image=IMAGE, key=key, predicate=predicate)
    assert attest.statements(workspace, IMAGE)["scan"] == ("invalid", "the scan is not complete: trivy")
    assert statements.scan_predicate(ScanReport((), ()), now=AT)["complete"] is False


def test_a_statement_by_a_stranger_or_about_another_image_does_not_count(workspace, key, tmp_path):
    attest.keygen(tmp_path / "stranger")
    predicate = {"bomFormat": "CycloneDX", "components": []}
    envelope, _ = attest.state(workspace, "sbom", image=IMAGE, key=tmp_path / "stranger", predicate=predicate)
    assert attest.statements(workspace, IMAGE)["sbom"][0] == "invalid"
    good, _ = attest.state(workspace, "sbom", image=IMAGE, key=key, predicate=predicate)
    assert states(workspace)["sbom"] == "verified"
    trusted = settings.trusted(workspace)
    with pytest.raises(IntegrityError, match="signature"):
        statements.verify(envelope, trusted, subject_digest=IMAGE, kind="sbom")
    with pytest.raises(IntegrityError, match="subject"):
        statements.verify(good, trusted, subject_digest="sha256:" + "cd" * 32, kind="sbom")
    with pytest.raises(IntegrityError, match="type"):
        statements.verify(good, trusted, subject_digest=IMAGE, kind="tests")
    assert attestation.predicate_type(good) == statements.SBOM


def test_a_builder_is_held_to_its_repositories_and_parameters(workspace, key, tmp_path):
    def sign(**changes):
        said = {"repository": "shop", "commit": "c" * 40, **changes}
        return attest.sign(workspace, image=IMAGE, key=key, builder=BUILDER, **said)[0]

    def failed(envelope):
        return next((c.detail for c in attest.verify(workspace, envelope, IMAGE) if c.ok is False), "")

    trust(workspace, tmp_path, "    repositories: [shop]\n    parameters: {workflow: build.yml}\n")
    assert failed(sign(parameters={"workflow": "build.yml"})) == ""
    assert "none that" in failed(sign(repository="other", parameters={"workflow": "build.yml"}))
    assert "workflow is None" in failed(sign())
    assert "debug was asked for besides" in failed(sign(parameters={"workflow": "build.yml", "debug": "1"}))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<a", "no XML"),
        ("<testsuite/>", "no test"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><testsuite/>', "entities"),
    ],
)
def test_reports_that_cannot_be_believed_are_refused(tmp_path, text, word):
    file = tmp_path / "j.xml"
    file.write_text(text)
    with pytest.raises(InputError, match=word):
        attest_statements.tests([file])
    with pytest.raises(InputError, match="JSON"):
        attest_statements.sbom(file)


def test_a_scan_tells_counts_and_no_finding():
    one = Finding("fp-1", "t", "r", "secret title", Severity.HIGH, "a.py", 1, 1)
    said = statements.scan_predicate(ScanReport((one,), (ScanHealth("t", "1", Health.OK, 1, (), 1),)), now=AT)
    assert (said["complete"], said["findings"]) == (True, {"high": 1})
    assert b"secret title" not in orjson.dumps(said)
