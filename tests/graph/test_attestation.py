import base64

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.errors import InputError, IntegrityError
from lemnis.graph import attestation as att

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
BUILDER = "https://builder.example/shop"
IMAGE = "sha256:" + "ab" * 32
TRUSTED = [att.Trusted("https://other.example", OTHER.public_key()), att.Trusted(BUILDER, KEY.public_key())]


def statement(**changes):
    made = {
        "subject": "shop", "subject_digest": IMAGE, "builder": BUILDER, "invocation": "run-1",
        "repository": "shop", "commit": "c" * 40, "started": 1_000, "finished": 2_000, **changes,
    }  # fmt: skip
    return att.build_statement(**made)


ENVELOPE = att.sign(statement(), KEY)


def test_pae_is_as_the_specification_has_it():
    assert att.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_good_attestation_says_what_was_built():
    build = att.verify(ENVELOPE, TRUSTED, subject_digest=IMAGE)
    assert (build.commit, build.repository, build.builder) == ("c" * 40, "shop", BUILDER)
    assert build.started == "1970-01-01T00:00:01.000Z"
    assert att.subjects(ENVELOPE) == [IMAGE]
    assert att.sign(statement(), KEY) == ENVELOPE


@given(st.data())
def test_one_changed_byte_of_the_payload_is_found(data):
    document = orjson.loads(ENVELOPE)
    payload = bytearray(base64.b64decode(document["payload"]))
    index = data.draw(st.integers(0, len(payload) - 1))
    payload[index] ^= data.draw(st.integers(1, 255))
    document["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(IntegrityError, match="signature"):
        att.verify(orjson.dumps(document), TRUSTED, subject_digest=IMAGE)


@given(st.integers(0, len(ENVELOPE) - 1), st.integers(1, 255))
def test_one_changed_byte_anywhere_never_gives_another_build(index, flip):
    changed = bytearray(ENVELOPE)
    changed[index] ^= flip
    try:
        build = att.verify(bytes(changed), TRUSTED, subject_digest=IMAGE)
    except (InputError, IntegrityError):
        return
    assert build == att.verify(
        ENVELOPE, TRUSTED, subject_digest=IMAGE
    )  # white space and key ids are not signed


@pytest.mark.parametrize(
    ("envelope", "digest", "word"),
    [
        (ENVELOPE, "sha256:" + "00" * 32, "subject"),
        (ENVELOPE, "", "subject"),
        (att.sign(statement(builder="https://evil.example"), KEY), IMAGE, "builder"),
        (att.sign(statement(), OTHER), IMAGE, "builder"),
        (att.sign({**statement(), "predicateType": "https://slsa.dev/provenance/v0.1"}, KEY), IMAGE, "type"),
        (att.sign(statement(commit=""), KEY), IMAGE, "source"),
        (att.sign({"_type": att.STATEMENT, "predicateType": att.PROVENANCE}, KEY), IMAGE, "subject"),
    ],
)
def test_each_check_is_named(envelope, digest, word):
    with pytest.raises(IntegrityError, match=f"^{word}|: {word}"):
        att.verify(envelope, TRUSTED, subject_digest=digest)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"payload": 3, "signatures": [], "payloadType": "x"}', b"\xff"]
)
def test_what_is_no_envelope_is_refused(data):
    with pytest.raises(InputError):
        att.verify(data, TRUSTED, subject_digest=IMAGE)


def test_keys_survive_pem():
    assert att.key_id(att.read_private(att.write_private(KEY)).public_key()) == att.key_id(KEY.public_key())
    assert att.key_id(att.read_public(att.write_public(KEY.public_key()))) == att.key_id(KEY.public_key())
    with pytest.raises(InputError):
        att.read_public(b"nothing")
