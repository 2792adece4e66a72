"""What others' parsers make of audit logs, against what is read here."""

import io
import json
import tarfile

import zstandard

from lemnis.ingest.parsers import _audit

RESULTS = {"yes": "success", "1": "success", "no": "fail", "0": "fail", "failed": "fail"}
CONTEXT = ("user", "role", "domain", "level", "category")
LEAST = 0.98


def unpacked(path):
    with path.open("rb") as file:
        data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}


def have(fields, name):
    """What was read for a field that the other parser derives or renames."""
    if name.startswith(("subj_", "obj_")):
        whole, _, part = name.partition("_")
        parts = fields.get(whole, "").split(":")
        return parts[CONTEXT.index(part)] if len(parts) > CONTEXT.index(part) else None
    value = fields.get({"syscall": "SYSCALL", "new_auid": "auid"}.get(name, name))
    if name == "result":
        value = fields.get("success") or fields.get("res")
        return RESULTS.get(value, value)
    if name == "arch":
        return {"c000003e": "x86_64", "40000003": "i386", "c00000b7": "aarch64"}.get(value, value)
    return value


def test_go_libaudit_agrees_on_its_own_records(shared, capsys):
    files = unpacked(shared / "linux/go-libaudit/go-libaudit.tar.zst")
    good, wrong = 0, []
    for name, golden in files.items():
        if "auparse/testdata" not in name or not name.endswith(".golden"):
            continue
        lines = files[name.removesuffix(".golden")].decode("utf-8", "replace").splitlines()
        for event in json.loads(golden):
            line = next(line for line in lines if event["raw_msg"] in line)
            fields = _audit.read(line).fields
            for key, want in event.get("data", {}).items():
                got = have(fields, key)
                unset = got == "4294967295" and want == "unset"
                absent = got is None and want in {"(none)", "(null)", "?", ""}
                if got == want or unset or absent:
                    good += 1
                else:
                    wrong.append((key, got, want))
    score = good / (good + len(wrong))
    with capsys.disabled():
        print(f" go-libaudit: {score:.1%} of {good + len(wrong)} fields")  # noqa: T201 - the score is the point
    assert score >= LEAST, wrong
