"""Images that the tests make themselves: what is found in them, and what of hostile ones."""

import io
import json
import sqlite3
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import RecordError
from lemnis.scan.images import inspect, streams
from lemnis.scan.images import layers as reading

from .making import config, gz, laid_out, layer, oci, saved, tarred, zstd

NOW = from_iso("2026-11-30T00:00:00Z")
KEY = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n"
LAYERS = [
    layer(
        {"etc/os-release": "ID=debian\nVERSION_ID=12\n", "app/key.pem": KEY, "usr/bin/su": "x" * 10},
        setuid=["usr/bin/su"],
    ),
    layer({"app/key.pem": None, "app/token": "t = 'ghp_" + "a" * 36 + "'\n"}),
]


def look(tmp_path, files, suffix=".tar", wrap=lambda data: data):
    path = tmp_path / f"image{suffix}"
    path.write_bytes(wrap(tarred(files)))
    return inspect(path, "image", NOW)


def facts(found):
    return {
        (one.data["path"], one.data["secret"], one.data["layer"], one.data["deleted"], one.data["setuid"])
        for one in found.resources
        if one.kind == "image.file"
    }


EXPECTED = {
    ("app/key.pem", "private key", 1, True, False),
    ("app/token", "GitHub token", 2, False, False),
    ("usr/bin/su", "", 1, False, True),
}


@pytest.mark.parametrize(
    "files",
    [oci(LAYERS), oci(LAYERS, pack=gz), oci(LAYERS, pack=zstd), saved(LAYERS)],
    ids=["oci", "oci of gzip", "oci of zstd", "docker save"],
)
@pytest.mark.parametrize("wrap", [lambda data: data, gz, zstd], ids=["tar", "tar.gz", "tar.zst"])
def test_every_form_of_an_image_gives_the_same(tmp_path, files, wrap):
    found = look(tmp_path, files, wrap=wrap)
    assert found.image
    assert found.errors == ()
    assert facts(found) == EXPECTED
    (image,) = [one for one in found.resources if one.kind == "image"]
    assert image.name == "shop:1.4"
    assert image.data["age_days"] == 28
    assert image.data["user"] == "10001"


def test_a_layout_folder_is_an_image(tmp_path):
    found = inspect(laid_out(tmp_path, oci(LAYERS)), "image", NOW)
    assert facts(found) == EXPECTED
    assert not found.errors


def test_configuration_and_history_are_told(tmp_path):
    said = config(
        LAYERS,
        config={"User": "", "Env": ["DB_PASSWORD=hunter2hunter2", "PATH=/bin"], "ExposedPorts": {"22/tcp": {}},
                "Labels": {"org.opencontainers.image.revision": "abc"}},
        history=[{"created_by": "|1 NPM_TOKEN=abcdef123456 /bin/sh -c npm ci"},
                 {"created_by": "RUN curl -s https://example.org/x | sh", "empty_layer": True}, {"created_by": "b"}],
        created="0001-01-01T00:00:00Z",
    )  # fmt: skip
    (image, *_) = look(tmp_path, oci(LAYERS, said)).resources
    assert image.data["secrets"] == [{"name": "DB_PASSWORD", "what": "secret"}]
    assert image.data["history_secrets"] == [{"step": 1, "what": "secret"}]
    assert image.data["shell"] == {"pipes_download": True}
    assert image.data["ports"] == ["22"]
    assert image.unknown == (("age_days",),)
    assert "hunter2" not in json.dumps(image.data)


def test_a_folder_that_is_emptied_or_replaced_hides_what_was_in_it(tmp_path):
    stack = [
        layer({"a/key": KEY, "b/c/key": KEY, "d/key": KEY, "e/key": KEY}),
        layer({"a/.wh..wh..opq": "", "b": None, "d/key": "nothing", "f": "x"}),
    ]
    found = look(tmp_path, oci(stack))
    assert {(path, gone) for path, _, _, gone, _ in facts(found)} == {
        ("a/key", True), ("b/c/key", True), ("d/key", True), ("e/key", False),
    }  # fmt: skip


def rpm(name, version):
    entries, store = [], b""
    for tag, text in ((1000, name), (1001, version), (1002, "3"), (1022, "x86_64")):
        entries.append(struct.pack(">IIII", tag, 6, len(store), 1))
        store += text.encode() + b"\0"
    return struct.pack(">II", len(entries), len(store)) + b"".join(entries) + store


def rpm_database():
    with sqlite3.connect(":memory:") as base:
        base.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)")
        base.executemany(
            "INSERT INTO Packages (blob) VALUES (?)", [(rpm("bash", "5.2"),), (rpm("gpg-pubkey", "1"),)]
        )
        base.commit()
        data = base.serialize()
    base.close()
    return data


def go_program():
    modules = "path\tshop\nmod\texample.org/shop\t(devel)\t\ndep\tgithub.com/pkg/errors\tv0.9.1\th1:x\n"
    text = b"0" * 16 + modules.encode() + b"1" * 16
    version = b"go1.22.1"
    size = struct.pack("B", len(text) & 0x7F | 0x80) + struct.pack("B", len(text) >> 7)
    info = b"\xff Go buildinf:" + b"\x08\x02" + b"\0" * 16 + bytes([len(version)]) + version + size + text
    return b"\x7fELF" + b"\0" * 400_000 + info + b"\0" * 100


def jar():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "META-INF/maven/org.example/web/pom.properties",
            "groupId=org.example\nartifactId=web\nversion=1.2\n",
        )
    return out.getvalue()


def test_packages_are_named_by_purl(tmp_path):
    status = "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nSource: zlib (1:1.2.13)\nVersion: 1:1.2.13-1\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    stack = [
        layer({
            "etc/os-release": 'ID=debian\nVERSION_ID="12"\n', "var/lib/dpkg/status": status,
            "lib/apk/db/installed": "P:musl\nV:1.2.4-r2\nA:x86_64\no:musl\n\n",
            "var/lib/rpm/rpmdb.sqlite": rpm_database(),
            "usr/lib/python3/dist-packages/Jinja2-3.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\n\nx",
            "app/node_modules/@acme/ui/package.json": '{"name": "@acme/ui", "version": "2.0.0"}',
            "app/node_modules/old/package.json": '{"name": "old", "version": "1.0.0"}',
            "app/web.jar": jar(), "app/commons-io-2.6.jar": b"PK\x05\x06" + b"\0" * 18, "bin/shop": go_program(),
        }),
        layer({"app/node_modules/old": None}),
    ]  # fmt: skip
    found = look(tmp_path, oci(stack, pack=gz))
    assert found.errors == ()
    assert {one.purl for one in found.components} == {
        "pkg:deb/debian/zlib1g@1:1.2.13-1?arch=amd64&distro=debian-12&upstream=zlib",
        "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-12",
        "pkg:rpm/debian/bash@5.2-3?arch=x86_64&distro=debian-12",
        "pkg:pypi/jinja2@3.1.2", "pkg:npm/%40acme/ui@2.0.0", "pkg:maven/org.example/web@1.2",
        "pkg:maven/commons-io@2.6", "pkg:golang/stdlib@1.22.1", "pkg:golang/github.com/pkg/errors@v0.9.1",
    }  # fmt: skip


def test_a_damaged_record_is_told_and_the_others_stand(tmp_path):
    stack = [
        layer({"app/a.jar": b"PK no zip", "app/node_modules/x/package.json": '{"name": "x", "version": "1"}'})
    ]
    found = look(tmp_path, oci(stack))
    assert [one.purl for one in found.components] == ["pkg:npm/x@1"]
    assert "a.jar" in found.errors[0]


def test_names_and_links_that_lead_out_are_told_and_touch_nothing(tmp_path):
    stack = [
        layer(
            {"../../etc/passwd": KEY, "a/../../x": KEY, "good/key": KEY},
            links=[("out", "/etc"), ("up", "../..")],
        )
    ]
    found = look(tmp_path, oci(stack))
    assert {path for path, *_ in facts(found)} == {"good/key"}
    assert sum("leads out" in error for error in found.errors) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tar"]


def test_a_bomb_is_refused_and_what_came_before_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_LARGE", 1 << 20)
    bomb = layer({"good/key": KEY, "zeros": b"\0" * (16 << 20)})
    found = look(tmp_path, oci([bomb], pack=gz))
    assert any("a bomb" in error for error in found.errors)
    assert {path for path, *_ in facts(found)} == {"good/key"}


def test_a_layer_larger_than_it_may_be_is_refused(monkeypatch):
    stream = streams.Bounded(io.BytesIO(b"x" * 5000), most=4096)
    with pytest.raises(RecordError, match="larger than"):
        stream.read()


def test_more_entries_than_anybody_needs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MAX_ENTRIES", 3)
    found = reading.read(io.BytesIO(layer({f"f{n}": "x" for n in range(5)})))
    assert found.files == 3
    assert "entries" in found.errors[0]


def test_an_extended_header_that_would_fill_the_memory_is_refused():
    one = tarfile.TarInfo("a")
    one.type, one.size = tarfile.XHDTYPE, 9 << 30
    found = reading.read(io.BytesIO(one.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10_000))
    assert "extended header" in found.errors[0]


def test_a_sparse_file_is_refused():
    one = tarfile.TarInfo("a")
    one.type = tarfile.GNUTYPE_SPARSE
    assert "sparse" in reading.read(io.BytesIO(one.tobuf() + b"\0" * 1024)).errors[0]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda files: files.pop("index.json"), None),
        (lambda files: files.update({"index.json": b"{"}), "not JSON"),
        (
            lambda files: files.update({"index.json": b'{"manifests": [{"digest": "sha256:../../x"}]}'}),
            "not there",
        ),
        (lambda files: files.update({"index.json": b'{"manifests": 5}'}), "no image"),
        (
            lambda files: [files.update({k: b'{"a": 1}'}) for k in list(files) if k.startswith("blobs")],
            "digest says",
        ),
    ],
)
def test_a_broken_image_is_told(tmp_path, change, word):
    files = oci(LAYERS)
    change(files)
    found = look(tmp_path, files)
    assert found.image == (word is not None)
    assert not word or any(word in error for error in found.errors), found.errors


def test_a_layer_that_is_missing_is_told(tmp_path):
    files = saved(LAYERS)
    files.pop("1/layer.tar")
    found = look(tmp_path, files)
    assert any("layer 2" in error and "not there" in error for error in found.errors)
    assert ("app/key.pem", "private key", 1, False, False) in facts(found)


def test_what_is_no_image_is_nobodys_business_here(tmp_path):
    assert look(tmp_path, {"a.txt": b"x"}) == inspect(tmp_path / "image.tar", "image", NOW)
    assert not look(tmp_path, {"a.txt": b"x"}).image
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    assert not inspect(tmp_path / "b.tar", "b", NOW).image


@settings(max_examples=80)
@given(st.data())
def test_no_damage_to_a_layer_raises(data):
    whole = bytearray(gz(LAYERS[0]) if data.draw(st.booleans()) else LAYERS[0])
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    found = reading.read(io.BytesIO(bytes(whole[:cut])))
    assert all(not path.startswith(("/", "..")) for path in found.records)


@settings(max_examples=40)
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=120), max_size=5
    )
)
def test_no_name_leads_out_or_breaks_the_reading(names):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            one = tarfile.TarInfo(name)
            one.size = len(KEY)
            tar.addfile(one, io.BytesIO(KEY.encode()))
    found = reading.read(io.BytesIO(out.getvalue()))
    for one in found.secrets:
        assert not one.path.startswith("/")
        assert ".." not in one.path.split("/")
