"""A device with passkeys, in software: what a browser and an authenticator do by WebAuthn; not a test."""

import base64
import hashlib
import os

import cbor2
import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


def _text(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Device:
    """One key; ``origin`` is what the browser says where it is, ``verifies`` whether it asked its owner."""

    def __init__(self, origin, *, verifies=True):
        self.origin, self.verifies, self.count = origin, verifies, 0
        self.key, self.id = ec.generate_private_key(ec.SECP256R1()), os.urandom(32)

    def _client(self, kind, challenge):
        return orjson.dumps(
            {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        )

    def _data(self, rp, *, attested=b""):
        self.count += 1
        flags = 0x01 | (0x04 if self.verifies else 0) | (0x40 if attested else 0)
        return (
            hashlib.sha256(rp.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big") + attested
        )

    def make(self, options):
        numbers = self.key.public_key().public_numbers()
        cose = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cose
        data = self._data(options["rp"]["id"], attested=attested)
        return {
            "id": _text(self.id), "rawId": _text(self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": _text(self._client("webauthn.create", options["challenge"])),
                "attestationObject": _text(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
            },
        }  # fmt: skip

    def prove(self, options):
        client, data = self._client("webauthn.get", options["challenge"]), self._data(options["rpId"])
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return {
            "id": _text(self.id), "rawId": _text(self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {"clientDataJSON": _text(client), "authenticatorData": _text(data),
                         "signature": _text(signature)},
        }  # fmt: skip
