import ipaddress
from urllib.parse import quote, unquote_plus

import pytest
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


PLANTED = {
    "mail": "quinlan.ferreira@corp.test",
    "mailbox with a plus": "q.ferreira+shop@mail.corp.test",
    "name": "Quinlan Ferreira",
    "login": "qferreira",
    "private address": "10.44.7.9",
    "public address": "151.101.1.69",
    "IPv6": "2a02:8108:9640::7af1",
    "MAC": "3c:22:fb:aa:10:7e",
    "AWS account": "480912346677",
    "AWS key": "AKIAQQQQZZZZ7777XXXX",
    "GitHub token": "ghp_" + "a1B2" * 9,
    "GitHub fine-grained": "github_pat_" + "A1b2" * 8,
    "GitLab token": "glpat-" + "x9Y8" * 5,
    "Slack token": "xoxb-" + "123456789012-abcdef",
    "Stripe key": "sk_live_" + "4eC39HqLyjWDarjt",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcDEF123_-x",
    "password": "Tr0ub4dor-und-3",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "card": "4111 1111 1111 1111",
    "phone": "+49 170 5550199",
}
ANYWHERE = sorted(set(PLANTED) - {"name", "login", "password", "AWS account"})
PLACES = {
    "name": ('{{"displayName": "{}"}}', "full_name='{}'", '{{"text": "{{\\"displayName\\": \\"{}\\"}}"}}'),
    "login": (
        '{{"userName": "{}"}}', "user={} ", '{{"username":"{}","x":1}}', "arn:aws:iam::111122223333:user/{}", "/home/{}/.ssh",
        "Failed password for invalid user {} from 192.0.2.1 port 2", "192.0.2.1 - {} [02/Mar/2026:18:00:00 +0000] x",
        "arn:aws:sts::111122223333:assumed-role/ops/{}",
    ),
    "password": (
        "/x?password={}&y=1", '{{"password": "{}"}}', '{{"clientSecret":"{}"}}', "https://me:{}@db.test/x",
        '{{"body": "{{\\"api_key\\": \\"{}\\"}}"}}', "Cookie: sid={}",
    ),
    "AWS account": ("arn:aws:s3::{}:bucket/x", '{{"accountId":"{}"}}'),
}  # fmt: skip


@pytest.mark.parametrize(("what", "place"), [(what, p) for what, places in PLACES.items() for p in places])
def test_who_and_what_is_secret_goes_from_each_place(what, place):
    [cleaned] = scrub([place.format(PLANTED[what])])
    assert PLANTED[what] not in cleaned
    assert scrub([cleaned]) == [cleaned]


@pytest.mark.parametrize(
    "around", ["+49 170 5550199 {}", "{} 4111", "12 {} 34 {}", "order 5500-{}", "{}-{}", "4111 {}"]
)
def test_a_card_goes_whatever_numbers_stand_beside_it(around):
    [cleaned] = scrub([around.format(*[PLANTED["card"]] * 2)])
    assert PLANTED["card"] not in cleaned
    assert scrub([cleaned]) == [cleaned]


@given(
    st.lists(st.sampled_from(ANYWHERE), min_size=1, max_size=4),
    st.lists(st.sampled_from([(w, p) for w, places in PLACES.items() for p in places]), max_size=3),
    st.sampled_from(['{} said "{}" ', '{{"a": "{}", "b": ["{}"]}}', "GET /x?a={}&b=1 {}", "<{}>;{}"]),
)
def test_nothing_planted_survives(anywhere, placed, around):
    records = [around.format(PLANTED[what], "x") for what in anywhere]
    records += [place.format(PLANTED[what]) for what, place in placed]
    records.append("seen: " + " ".join(PLANTED[what] for what in anywhere))
    cleaned = scrub(records)
    for what in {*anywhere, *(what for what, _ in placed)}:
        assert not [line for line in cleaned if PLANTED[what] in line]
    assert len(cleaned) == len(records)
    assert scrub(cleaned) == cleaned


def test_a_name_goes_wherever_else_it_stands_and_is_the_same_person():
    cleaned = scrub(
        [
            '{"userName": "qferreira"}',
            "GET /orders/of/qferreira?x=qferreira",
            "qferreiras qferreira@corp.test",
        ]
    )
    assert cleaned == [
        '{"userName": "person1"}',
        "GET /orders/of/person1?x=person1",
        "qferreiras person1@example.com",
    ]


def test_names_that_are_known_go_from_texts():
    assert scrub(["Ferreira and db-prod-7 met"], known=("Ferreira", "db-prod-7")) == [
        "person1 and person2 met"
    ]


def test_what_a_detection_looks_for_stays():
    records = ['{"user": "export"}', "GET /export?q=1"]
    assert scrub(records) == ['{"user": "person1"}', "GET /person1?q=1"]
    assert scrub(records, keep=("export",)) == ['{"user": "person1"}', "GET /export?q=1"]


def test_what_says_nothing_of_anybody_stays():
    records = [
        'acct="root" user=www-data uid=33', '{"username": "system:serviceaccount:kube-system:x"}', '{"userName": null}',
        "msg=audit(1764000000.123:456)", "1764000000123", "4929123456789012346 is no card", "2026-03-02T18:00:00+0100",
        "00000000-0000-4000-8000-000000000001", "sha256:" + "4" * 64,
    ]  # fmt: skip
    assert scrub(records) == records


@given(
    st.sampled_from(sorted(PLANTED)),
    st.sampled_from(["user", "token", "accountId", "q", "home"]),
    st.sampled_from([str, quote]),
)
def test_a_shape_is_not_scrubbed_again(what, name, written):
    record = f'192.0.2.1 - - [x] "GET /x?{name}={written(PLANTED[what].replace(" ", "+"))}&n=1 HTTP/1.1" 200'
    masked = mask(scrub([record]))
    assert PLANTED[what] not in masked[0]
    assert scrub(masked) == masked
