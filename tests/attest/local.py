"""A Sigstore instance of a test's own: certificate authority, certificate log, transparency log, over HTTP.

What the services do is done here by the specifications: Fulcio's API v2 with embedded SCTs (RFC 6962), Rekor's
API v1 with entries of the kind ``dsse``, inclusion proofs and checkpoints (RFC 6962, C2SP tlog-checkpoint).
"""

import base64
import hashlib
import json
import struct
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

FULCIO = "1.3.6.1.4.1.57264.1"
ISSUER = "https://oidc.example"
SCTS = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
DAY = timedelta(days=1)


def b64(data):
    return base64.b64encode(data).decode()


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed(key, data):
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


class Instance:
    """The keys of an instance, and what its services answer."""

    def __init__(self):
        self.root, self.ct, self.log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.leaves = [hashlib.sha256(b"\0an entry of somebody else").digest()]
        self.wrong = set()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test root")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.root.public_key())
            .serial_number(1)
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**_usage(key_cert_sign=True, crl_sign=True)), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.root.public_key()), critical=False)
            .sign(self.root, hashes.SHA256())
        )

    # -- what a user is given ------------------------------------------------------------------------------

    def trusted_root(self):
        valid = {"start": "2020-01-01T00:00:00Z"}

        def log(key):
            return {
                "baseUrl": "http://log.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": b64(spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid,
                },
                "logId": {"keyId": b64(hashlib.sha256(spki(key)).digest())},
            }  # fmt: skip

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log)],
            "ctlogs": [log(self.ct)],
            "certificateAuthorities": [{
                "subject": {"organization": "test", "commonName": "test root"},
                "uri": "http://ca.example",
                "certChain": {"certificates": [{"rawBytes": b64(self.certificate.public_bytes(Encoding.DER))}]},
                "validFor": valid,
            }],
            "timestampAuthorities": [],
        }  # fmt: skip

    def signing_config(self, url):
        service = {
            "url": url, "majorApiVersion": 1, "validFor": {"start": "2020-01-01T00:00:00Z"}, "operator": "test",
        }  # fmt: skip
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service], "oidcUrls": [service], "rekorTlogUrls": [service], "tsaUrls": [],
            "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"},
        }  # fmt: skip

    # -- what the services answer --------------------------------------------------------------------------

    def fulcio(self, request, token):
        csr = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        claims = json.loads(_unpadded(token.split(".")[1]))
        made = self.issue(csr.public_key(), claims)
        chain = [
            made.public_bytes(Encoding.PEM).decode(),
            self.certificate.public_bytes(Encoding.PEM).decode(),
        ]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def issue(self, key, claims):
        now = datetime.now(UTC).replace(microsecond=0)
        name = x509.RFC822Name(claims["sub"]) if "@" in claims["sub"] and "://" not in claims["sub"] else None
        serial = x509.random_serial_number()

        def builder():
            made = (
                x509.CertificateBuilder()
                .subject_name(x509.Name([]))
                .issuer_name(self.certificate.subject)
                .public_key(key)
                .serial_number(serial)
                .not_valid_before(now - timedelta(minutes=1))
                .not_valid_after(now + timedelta(minutes=10))
                .add_extension(x509.KeyUsage(**_usage(digital_signature=True)), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root.public_key()), critical=False
                )
                .add_extension(
                    x509.SubjectAlternativeName([name or x509.UniformResourceIdentifier(claims["sub"])]),
                    critical=True,
                )
            )
            for number, value in (
                (1, claims["iss"].encode()),
                (8, asn1.encode_der(claims["iss"])),
                (12, asn1.encode_der(claims["repository"]) if "repository" in claims else b""),
                (13, asn1.encode_der(claims["sha"]) if "sha" in claims else b""),
            ):
                if value:
                    extension = x509.UnrecognizedExtension(ObjectIdentifier(f"{FULCIO}.{number}"), value)
                    made = made.add_extension(extension, critical=False)
            return made

        body = builder().sign(self.root, hashes.SHA256()).tbs_certificate_bytes
        extension = x509.UnrecognizedExtension(SCTS, self._scts(body))
        return builder().add_extension(extension, critical=False).sign(self.root, hashes.SHA256())

    def _scts(self, body):
        """Return the extension's value: one SCT of the certificate log over the precertificate."""
        at = int(time.time() * 1000)
        issuer = hashlib.sha256(spki(self.root)).digest()
        entry = issuer + struct.pack("!I", len(body))[1:] + body
        told = struct.pack("!BBQH", 0, 0, at, 1) + entry + struct.pack("!H", 0)
        key = self.root if "sct" in self.wrong else self.ct
        signature = signed(key, told)
        log = hashlib.sha256(spki(self.ct)).digest()
        sct = (
            b"\0" + log + struct.pack("!QH", at, 0) + b"\4\3" + struct.pack("!H", len(signature)) + signature
        )
        several = struct.pack("!H", len(sct)) + sct
        content = struct.pack("!H", len(several)) + several
        length = bytes([len(content)]) if len(content) < 128 else b"\x81" + bytes([len(content)])
        return b"\4" + length + content

    def rekor(self, request):
        content = request["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        payload = base64.b64decode(envelope["payload"])
        body = _canonical({
            "apiVersion": "0.0.1", "kind": "dsse", "spec": {
                "envelopeHash": {
                    "algorithm": "sha256", "value": hashlib.sha256(content["envelope"].encode()).hexdigest(),
                },
                "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                "signatures": [
                    {"signature": envelope["signatures"][0]["sig"], "verifier": content["verifiers"][0]}
                ],
            },
        })  # fmt: skip
        self.leaves.append(hashlib.sha256(b"\0" + body).digest())
        index, at = len(self.leaves) - 1, int(time.time())
        root, path = _root(self.leaves), _path(index, self.leaves)
        log = hashlib.sha256(spki(self.log)).digest()
        promise = _canonical({"body": b64(body), "integratedTime": at, "logID": log.hex(), "logIndex": index})
        note = f"log.example - 1\n{len(self.leaves)}\n{b64(root)}\n"
        by = self.root if "checkpoint" in self.wrong else self.log
        mark = b64(log[:4] + signed(by, note.encode()))
        if "proof" in self.wrong:
            path = [hashlib.sha256(one).digest() for one in path]
        return {"0" * 64: {
            "body": b64(body), "integratedTime": at, "logID": log.hex(), "logIndex": index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": f"{note}\n\u2014 log.example {mark}\n", "hashes": [one.hex() for one in path],
                    "logIndex": index, "rootHash": root.hex(), "treeSize": len(self.leaves),
                },
                "signedEntryTimestamp": b64(signed(self.log, promise)),
            },
        }}  # fmt: skip

    @contextmanager
    def served(self):
        """Serve both on a port of this machine; give the address."""
        instance = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/api/v2/signingCert":
                    found = instance.fulcio(said, self.headers["Authorization"].removeprefix("Bearer "))
                else:
                    found = instance.rekor(said)
                body = json.dumps(found).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Say nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def token(subject, *, issuer=ISSUER, **claims):
    """Return an identity token as an OIDC provider would; its signature is for the authority to check."""
    now = int(time.time())
    said = {
        "iss": issuer,
        "sub": subject,
        "aud": "sigstore",
        "iat": now,
        "nbf": now - 5,
        "exp": now + 600,
        **claims,
    }
    return (
        ".".join(_base64url(json.dumps(one).encode()) for one in ({"alg": "none"}, said))
        + "."
        + _base64url(b"x")
    )


def _usage(**yes):
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return {name: yes.get(name, False) for name in names}


def _canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(leaves[:split]) + _root(leaves[split:])).digest()


def _path(index, leaves):
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*_path(index, leaves[:split]), _root(leaves[split:])]
    return [*_path(index - split, leaves[split:]), _root(leaves[:split])]
