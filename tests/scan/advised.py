"""Advisories and components that tests make up."""

from lemnis.scan import advisories, advisories_db
from lemnis.scan.sbom import Component


def record(identity="T-1", *, ecosystem="PyPI", name="demo", ranges=None, versions=(), aliases=(), **more):
    ranges = [[("introduced", "1.0"), ("fixed", "1.5")]] if ranges is None else ranges
    return {
        "id": identity, "modified": "2024-01-02T03:04:05Z", "aliases": list(aliases), "summary": f"what {identity} is",
        "affected": [
            {
                "package": {"ecosystem": ecosystem, "name": name},
                "ranges": [
                    {"type": more.get("kind", "ECOSYSTEM"), "events": [{event: version} for event, version in events]}
                    for events in ranges
                ],
                "versions": list(versions),
                "database_specific": more.get("specific", {}),
            }
        ],
    } | more.get("top", {})  # fmt: skip


def database(path, *records):
    advisories_db.build(path, [advisories.read(one) for one in records])
    return advisories_db.Advisories(path)


def component(version="1.2", name="demo", kind="pypi", **more):
    version_part = f"@{version}" if version else ""
    return Component(f"{name}{version_part}", name, version, f"pkg:{kind}/{name}{version_part}", **more)
