import ipaddress
from urllib.parse import quote, unquote_plus

from hypothesis import given
from hypothesis import strategies as st

from lemnis.lessons.scrub import mask, scrub


def test_credentials_go_and_addresses_become_documentation():
    line = '10.1.2.3 "GET /x?password=hunter2&n=1" key=AKIAEXAMPLEEXAMPLE1 from fe80::1 and 10.1.2.3 v1.2.3'
    [cleaned] = scrub([line])
    assert (
        cleaned
        == '192.0.2.1 "GET /x?password=[removed]&n=1" key=[removed] from 2001:db8::2 and 192.0.2.1 v1.2.3'
    )


def test_the_same_address_stays_the_same_across_records():
    assert scrub(["a 10.0.0.1", "b 10.0.0.2", "c 10.0.0.1"]) == ["a 192.0.2.1", "b 192.0.2.2", "c 192.0.2.1"]


def test_a_version_of_a_product_is_no_address():
    line = '"Mozilla/5.0 Chrome/141.0.0.0" GET /proxy/10.0.0.1 http://10.0.0.1/x x=10.0.0.1'
    assert scrub([line]) == [line.replace("10.0.0.1", "192.0.2.1")]


def test_times_and_quads_that_are_no_addresses_stay():
    assert scrub(["12:34:56 999.1.1.1 0.0.0.0"]) == ["12:34:56 999.1.1.1 0.0.0.0"]


@given(st.ip_addresses())
def test_no_address_survives(address):
    documentation = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))
    [cleaned] = scrub([f"from {address} port 1"])
    if not address.is_unspecified and not any(
        address in n for n in documentation if n.version == address.version
    ):
        assert str(address) not in cleaned.split()


def test_what_people_wrote_becomes_a_shape():
    line = '192.0.2.1 - - [x] "GET /l?text=G%C3%BCnter%20Novak%2C+Am%20Markt+87/2&n=5 HTTP/1.1" 200 5 "https://a.example/s?q=Me" "UA"'
    [masked] = mask([line])
    assert masked == (
        '192.0.2.1 - - [x] "GET /l?text=xxxxxx%20xxxxx%2C+xx%20xxxxx+00/0&n=0 HTTP/1.1" 200 5 "https://a.example/s?q=xx" "UA"'
    )
    assert mask(["/l?n=Gü7"]) == ["/l?n=xx0"]
    assert mask([masked]) == [masked]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12))
def test_a_shape_has_the_special_characters_of_its_text_and_no_others(text):
    [masked] = mask([f"GET /l?q={quote(text, safe='')} HTTP/1.1"])
    special = {c for c in text if c.isascii() and not c.isalnum()}
    shape = unquote_plus(masked.split("?q=")[1].split(" ")[0]) if "?q=" in masked else ""
    assert {c for c in shape if c.isascii() and not c.isalnum()} == special
    assert set(shape) <= special | {"x", "0"}
