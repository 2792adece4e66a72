"""Evidence packages: what is changed in them is found and named, by a program of its own."""

import io
import random
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import IntegrityError
from lemnis.contracts.ids import digest
from lemnis.graph.attestation import write_public
from lemnis.incidents import custody, entries, merkle, package, verifier
from lemnis.incidents.custody import Act
from lemnis.store.database import open_engine
from lemnis.store.journal import GENESIS, SqlJournal, _hash

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
EVIDENCE = b"the mail of the attacker\n"
ABOUT = {
    "incident": "in-1",
    "title": "A break-in",
    "made": "2026-01-01T00:00:00.000Z",
    "by": "ana",
    "reason": "x",
    "to": "",
}


def pack(journal, *, leave_out=(), evidence=EVIDENCE):
    size, head = journal.head()
    tree = merkle.Tree(journal.hashes(size))
    noted = package.checkpoint(package.Checkpoint(size, head, tree.root, 1_767_225_600_000), KEY)
    lines = [row for row in journal.rows(["in-1"], up_to=size) if row["seq"] not in leave_out]
    parts = [
        package.part(verifier.JOURNAL, b"".join(package.journal_lines(lines, tree))),
        package.part("incident.md", b"# A break-in\n"),
    ]
    if evidence is not None:
        parts.append(package.part(f"evidence/{digest(EVIDENCE)[7:]}", evidence))
    file = io.BytesIO()
    package.write(file, parts, ABOUT, noted, KEY)
    return file.getvalue()


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    made = SqlJournal(
        open_engine(tmp_path_factory.mktemp("j") / "journal.db"), ManualClock(1_767_225_600_000)
    )
    made.append(entries.note("in-0", 'of another incident: \x1f\u2028\U0001f600 "quoted"', actor="ana", at=1))
    made.append(entries.note("in-1", 'weiß \x1b\x7f\u2028\U0001f600 "quoted" \\ /', actor="ana", at=1))
    made.append(
        entries.evidence("in-1", digest(EVIDENCE), "mail.eml", actor="ana", reason="from the mailbox")
    )
    for act, to in ((Act.ACCESSED, ""), (Act.TRANSFERRED, "police"), (Act.EXPORTED, "")):
        (piece,) = custody.held(made.entries(subject="in-1"))
        made.append(custody.act(piece, act, actor="elif", reason="it is asked for", to=to))
        made.append(entries.note("in-2", f"between: {act}", actor="ana", at=1))
    return made


@pytest.fixture(scope="module")
def whole(journal):
    return pack(journal)


@pytest.fixture(scope="module")
def members(whole):
    return verifier.read_members(io.BytesIO(whole))


def checked(data, **trust):
    return verifier.check(io.BytesIO(data), **trust)


def named(data):
    """What the check says of a package that must not hold."""
    report = checked(data)
    assert not report.ok
    return " ".join(map(str, report.problems))


def test_a_package_holds_is_deterministic_and_opens_anywhere(journal, whole):
    report = checked(whole)
    assert report.problems == []
    assert (report.entries, report.evidence, report.incident) == (5, 1, "in-1")
    assert pack(journal) == whole
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        assert opened.testzip() is None
        assert opened.read(f"evidence/{digest(EVIDENCE)[7:]}") == EVIDENCE


def test_whose_key_it_is_can_be_asked_for(whole):
    other = write_public(Ed25519PrivateKey.from_private_bytes(b"o" * 32).public_key())
    assert checked(whole).trusted is None
    assert checked(whole, key=write_public(KEY.public_key())).trusted is True
    assert checked(whole, fingerprint=checked(whole).key).trusted is True
    refused = checked(whole, key=other)
    assert not refused.ok
    assert "not by sha256:" in str(refused.problems[0])


def where(members, place):
    inside = (one.name for one in members if one.offset <= place < one.start + one.size)
    return next(inside, verifier.DIRECTORY)


def test_a_flipped_byte_of_every_header_and_of_the_directory_is_found_and_named(whole, members):
    rng = random.Random(7)  # noqa: S311 - which bit is flipped
    end = members[-1].start + members[-1].size
    places = [place for one in members for place in range(one.offset, one.start)] + list(
        range(end, len(whole))
    )
    missed = []
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(8)
        if where(members, place) not in named(bytes(changed)):
            missed.append(place)
    assert len(places) > 900
    assert missed == []


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_byte_of_any_file_is_found_and_named(whole, members, data):
    one = data.draw(st.sampled_from([one for one in members if one.size]))
    place = one.start + data.draw(st.integers(0, one.size - 1))
    changed = bytearray(whole)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    assert one.name in named(bytes(changed))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_a_package_that_is_cut_or_longer_does_not_hold(whole, place, longer):
    changed = whole + b"x" * (1 + place % 40) if longer else whole[: place % len(whole)]
    assert named(changed)


def rebuilt(members, whole, replace):
    """The archive with other bytes for a file, in canonical form with right checksums: only the manifest knows."""
    out, made, offset = io.BytesIO(), [], 0
    for one in members:
        data = replace.get(one.name, whole[one.start : one.start + one.size])
        if data is None:
            continue
        member = verifier.Member(one.name, offset, len(data), zlib.crc32(data))
        out.write(verifier.local_header(member) + data)
        made.append(member)
        offset = out.tell()
    directory = b"".join(map(verifier.central_header, made))
    out.write(directory + verifier.end_record(len(made), len(directory), offset))
    return out.getvalue()


def test_whoever_repairs_the_archive_meets_the_manifest_and_its_signature(members, whole):
    assert "incident.md: it was changed" in named(rebuilt(members, whole, {"incident.md": b"# Nothing\n"}))
    assert "incident.md: it is missing" in named(rebuilt(members, whole, {"incident.md": None}))
    manifest = next(one for one in members if one.name == verifier.MANIFEST)
    data = whole[manifest.start : manifest.start + manifest.size]
    for place in range(0, len(data), 37):
        changed = bytearray(data)
        changed[place] ^= 1
        assert verifier.MANIFEST in named(rebuilt(members, whole, {verifier.MANIFEST: bytes(changed)}))


def test_a_journal_that_was_signed_without_an_act_of_custody_does_not_hold(journal):
    told = named(pack(journal, leave_out={4}))
    assert "the custody of" in told
    assert "is broken: an act before it is missing" in told
    assert "evidence that the journal names is missing" in named(pack(journal, evidence=None))


def test_evidence_that_was_altered_in_the_vault_is_not_packed(journal):
    with pytest.raises(IntegrityError, match="was altered"):
        pack(journal, evidence=b"something else")


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/passwd", "a//b", "evidence/..", "a\\b", "evidence/ü"]
)
def test_a_name_that_leads_out_of_the_package_is_refused(name):
    member = verifier.Member(name, 0, 1, 0)
    data = verifier.local_header(member) + b"x"
    directory = verifier.central_header(member)
    assert "leads out" in named(data + directory + verifier.end_record(1, len(directory), len(data)))


def test_what_unpacks_to_more_than_it_is_is_refused_unread():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("manifest.json", b"0" * 50_000_000)
    assert "was changed" in named(file.getvalue())
    huge = verifier.Member("manifest.json", 0, 0xFFFFFFF0, 0)
    assert named(verifier.local_header(huge) + b"x")
    assert "no evidence package" in named(b"")
    assert named(struct.pack("<4s", b"PK\3\4") * 100)


def test_the_program_in_the_package_needs_nothing_of_lemnis(members, whole, tmp_path):
    one = next(one for one in members if one.name == "verify.py")
    (tmp_path / "verify.py").write_bytes(whole[one.start : one.start + one.size])
    (tmp_path / "good.zip").write_bytes(whole)
    (tmp_path / "bad.zip").write_bytes(whole.replace(b"of the attacker", b"of the attackeR"))
    run = "import sys; sys.modules['lemnis'] = None; import runpy; runpy.run_path('verify.py', run_name='__main__')"
    done = [
        subprocess.run(
            [sys.executable, "-c", run, name], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        for name in ("good.zip", "bad.zip", "none.zip")
    ]
    assert [one.returncode for one in done] == [0, 1, 2]
    assert "it holds" in done[0].stdout
    assert f"FAIL  evidence/{digest(EVIDENCE)[7:]}" in done[1].stdout


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_every_entry_is_shown_to_be_in_the_tree_and_no_other(values):
    hashes = [f"sha256:{value.hex()}" for value in values]
    tree = merkle.Tree(hashes)
    size = len(hashes)
    assert merkle.roots(hashes, {size, 1})[size] == tree.root
    for index, value in enumerate(hashes):
        proof = tree.proof(index)
        assert verifier.included(value, index, size, proof, tree.root)
        assert not verifier.included(digest(b"other"), index, size, proof, tree.root)
        assert not verifier.included(value, index, size, [*proof, "00" * 32], tree.root)
        assert not verifier.included(value, index + size, size, proof, tree.root)


@given(st.tuples(*[st.integers(1, 2**53)] * 2, *[st.text()] * 6, st.just(GENESIS)))
def test_the_stand_alone_hash_is_the_journals(row):
    try:
        wanted = _hash(row)
    except TypeError:  # half a character: no entry can have it
        return
    assert verifier.entry_hash(row) == wanted
