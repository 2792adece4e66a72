"""What is attested, for people: whether it holds by whom is trusted now, and which policies ask."""

import orjson
import pytest

from lemnis import app
from lemnis.app import attest, attest_import, attest_listing
from lemnis.app.attest_listing import Asking, Attestations, Holds
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import NotFoundError

AT = 1_790_000_000_000
IMAGE = "sha256:" + "ab" * 32
COMMIT = "c" * 40
BUILDER = "https://ci.example"


@pytest.fixture
def soc(tmp_path):
    made = app.init(tmp_path / "w", clock=ManualClock(AT))
    attest.keygen(tmp_path / "key")
    trust(made, tmp_path / "key.pub")
    return made


def trust(soc, public, builder=BUILDER):
    (soc.root / "lemnis.yaml").write_text(f"name: w\nbuilders:\n  - {{id: '{builder}', key: {public}}}\n")


def sign(soc, key, builder=BUILDER):
    return attest.sign(soc, image=IMAGE, key=key, builder=builder, repository="shop", commit=COMMIT)[1]


def test_a_statement_is_worth_what_trust_makes_of_it_now(soc, tmp_path):
    name = sign(soc, tmp_path / "key")
    kept = Attestations(soc)
    one = kept.get(name)
    assert (one.holds, one.kind, one.builder, one.build.commit, one.name) == (
        Holds.VERIFIED, "provenance", BUILDER, COMMIT, "shop",
    )  # fmt: skip
    assert kept.about(IMAGE) == [one]
    trust(soc, tmp_path / "key.pub", "https://other.example")
    now = kept.get(name)
    assert now.holds is Holds.INVALID
    assert "is not whom the key speaks for" in now.why
    attest.keygen(tmp_path / "new")
    trust(soc, tmp_path / "new.pub")
    assert (kept.get(name).holds, kept.get(name).signer) == (Holds.UNTRUSTED, "")


def test_what_tells_of_failed_tests_does_not_hold_and_bare_statements_prove_nothing(soc, tmp_path):
    told = {"result": "FAILED", "passedTests": [], "failedTests": ["a"], "configuration": []}
    _, name = attest.state(soc, "tests", image=IMAGE, key=tmp_path / "key", predicate=told)
    bare = {
        "_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "p", "digest": {"sha256": "ab" * 32}}],
        "predicateType": "https://cyclonedx.org/bom", "predicate": {"bomFormat": "CycloneDX", "components": []},
    }  # fmt: skip
    (tmp_path / "bom.json").write_bytes(orjson.dumps(bare))
    list(attest_import.bring_in(soc, tmp_path / "bom.json"))
    found, total = Attestations(soc).look()
    assert total == 2
    assert [(one.kind, one.holds) for one in found] == [("sbom", Holds.UNTRUSTED), ("tests", Holds.INVALID)]
    assert found[1].digest == name
    assert found[1].why == "1 test failed"


def test_what_was_altered_is_lost_and_what_never_was_is_not_found(soc, tmp_path):
    name = sign(soc, tmp_path / "key")
    [kept] = [
        path for path in (soc.state / "vault").rglob("*") if name.removeprefix("sha256:")[4:] in path.name
    ]
    kept.chmod(0o600)
    kept.write_bytes(b"{}")
    assert Attestations(soc).get(name).holds is Holds.LOST
    with pytest.raises(NotFoundError):
        Attestations(soc).get("sha256:0")


def test_each_look_reads_what_was_kept_since(soc, tmp_path):
    kept = Attestations(soc)
    assert kept.look() == ([], 0)
    first = sign(soc, tmp_path / "key")
    assert [one.digest for one in kept.look()[0]] == [first]
    soc.clock.advance(1000)
    second = sign(soc, tmp_path / "key")
    assert [one.digest for one in kept.look()[0]] == [second, first]
    assert [one.digest for one in kept.look(1)[0]] == [second]


def test_which_policies_ask_for_what(soc):
    found = {one.policy: one for one in attest_listing.asking(app.library(soc))}
    assert "attestation" in found["image_attested"].parts
    assert attest_listing.asks(found["image_attested"], "provenance")
    assert not attest_listing.asks(Asking("p", ("deploy",), ("attestation",), warns=False), "tests")
    assert attest_listing.asks(found["image_evidence_complete"], "tests")
    assert "new_findings_below_medium" not in found
