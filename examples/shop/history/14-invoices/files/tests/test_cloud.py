from shop import cloud

KEYS = {"AccessKeyId": "ASIAEXAMPLEEXAMPLE00", "SecretAccessKey": "example", "Token": "example"}


def test_nothing_is_sent_without_a_bucket():
    assert cloud.store("1.txt", b"") == 0


def test_the_signature_depends_on_the_content():
    one, other = (cloud.signed("PUT", "s3", "/b/k", content, KEYS)["authorization"] for content in (b"1", b"2"))
    assert one.split("Signature=")[1] != other.split("Signature=")[1]
