"""Attestations on pages: what holds, by whom, what is tied to it; and hostile statements stay text."""

import asyncio
import re

import orjson
import pytest
from consoled import browser, built, joined, workspace

from lemnis.app import attest, attest_import, gates
from lemnis.app.attest_listing import Attested, Holds
from lemnis.interfaces.web import asking, attestations

IMAGE = "sha256:" + "ab" * 32
COMMIT = "c" * 40
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def soc(tmp_path):
    made = workspace(tmp_path)
    attest.keygen(tmp_path / "key")
    (made.root / "lemnis.yaml").write_text(
        f"name: w\nbuilders:\n  - {{id: 'https://ci.example', key: {tmp_path / 'key.pub'}}}\n"
    )
    return made


def evil(soc, tmp_path):
    """Keep a statement that nobody signed, and that says bad things of somebody."""
    said = {
        "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": f"pkg of kim@shop.example {EVIL}", "digest": {"sha512": "cd" * 64}}],
        "predicate": {"runDetails": {"builder": {"id": f"javascript:alert(1) {EVIL}"}}},
    }  # fmt: skip
    (tmp_path / "evil.json").write_bytes(orjson.dumps(said))
    [one] = attest_import.bring_in(soc, tmp_path / "evil.json")
    return one.digest


def test_lines_are_filtered_and_told_apart_by_what_holds():
    def one(n, holds, kind="provenance"):
        return attestations.line(Attested(f"sha256:{n}", n, kind, "t", ((IMAGE, "shop"),), holds))

    every = [one(1, Holds.VERIFIED), one(2, Holds.UNTRUSTED), one(3, Holds.LOST, "sbom")]
    shown = attestations.listed(every, asking.asked({}, attestations.FILTERS, sort="-at"))
    assert {tab.name: tab.count for tab in shown.tabs} == {"all": 3, "verified": 1, "not": 2}
    assert [row.at for row in shown.page.rows] == [3, 2, 1]
    some = attestations.listed(every, asking.asked({"kind": "sbom", "q": "SHOP"}, attestations.FILTERS))
    assert [row.at for row in some.page.rows] == [3]


def test_a_statement_and_its_artefact_show_signer_build_commit_and_gates(soc, tmp_path):
    gates.write_down(soc, "build", f"commit:{COMMIT}", made_decision(), {"repository": "shop"})
    _, name = attest.sign(
        soc, image=IMAGE, key=tmp_path / "key", builder="https://ci.example", repository="shop", commit=COMMIT,
        parameters={"workflow": "build.yml"},
    )  # fmt: skip
    gates.image(soc, "deploy", IMAGE)
    bad = evil(soc, tmp_path)

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "viewer")) as ana:
            paths = ("/pipeline/attestations", f"/pipeline/attestation/{name}", f"/pipeline/artefact/{IMAGE}",
                     f"/pipeline/attestation/{bad}", f"/pipeline/artefact/sha512:{'cd' * 64}",
                     "/pipeline/attestations?q=kim", "/pipeline/attestation/sha256:0", "/pipeline/artefact/..%2f..",
                     f"/pipeline/artefact/sha256:{'0' * 64}")  # fmt: skip
            return [await ana.get(path) for path in paths]

    listed, one, image, bad_one, package, hidden, *none = asyncio.run(run())
    assert all(page.status_code == 200 for page in (listed, one, image, bad_one, package, hidden))
    assert [page.status_code for page in none] == [404, 404, 404]
    assert re.findall(r'class="badge (\w+)">(\w+)<', listed.text)[:2] == [
        ("quiet", "untrusted"),
        ("good", "verified"),
    ]
    assert "SLSA provenance, proven" in one.text
    assert "build.yml" in one.text
    assert COMMIT in one.text
    assert one.text.count(">holds<") == len(attest.CHECKS)
    assert "image_attested" in one.text
    assert "/pipeline/decision/" in one.text
    assert "image_attested" in image.text
    assert "unproven" in bad_one.text
    assert "It proves nothing" in bad_one.text
    for page in (listed, bad_one, package):
        assert "<img" not in page.text
        assert "kim@shop.example" not in page.text
        assert 'href="javascript' not in page.text
    assert "No attestation matches" in hidden.text


def made_decision():
    from lemnis.contracts.findings import Decision, Effect  # noqa: PLC0415 - of one test

    return Decision(Effect.ALLOW, (), (), "sha256:old")
