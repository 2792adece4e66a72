"""A vulnerable version of a package: refused by the names of its vulnerabilities, until it is updated."""

from __future__ import annotations

from lemnis.lessons.gate import Scope, package
from lemnis.lessons.prevent.base import Drawn, Traced, between

NAME = "vulnerable package"


def recognise(traced: Traced, _name: str) -> Drawn | str:
    """Draw a gate from a finding that names a package and its vulnerability.

    Its range is the advisory's: a version at or above the fixed one has no such finding. A finding that a VEX
    statement answers (not affected, fixed) or somebody accepted is let be.
    """
    for finding in traced.findings:
        about = finding.vulnerability
        if about is None or not about.ids or not about.purl:
            continue
        name = package(about.purl)
        fixed = " or ".join(about.fixed_in)
        listed = bool(finding.path)
        return Drawn(
            kind=NAME,
            says=f"what brings in {name} with {about.ids[0]}" + (f" (below {fixed})" if fixed else ""),
            earliest="pull_request" if listed else "release",
            because=(
                f"{finding.path} names the version, and an advisory says of it {about.ids[0]}"
                if listed
                else f"no file of a change names it: it is first seen in the image {finding.resource}"
            ),
            stages=between("pull_request" if listed else "release", "deploy"),
            fix=f"update {name} to {fixed}" if fixed else f"take {name} out: no fixed version is known",
            controls=("NIST.SSDF.PW.4", "NIST.SSDF.RV.2"),
            scopes=(
                Scope("vulnerability in any package", vulnerabilities=about.ids, judged=True),
                Scope(f"vulnerability in {name}", packages=(name,), vulnerabilities=about.ids, judged=True),
            ),
            example=finding,
            review=(
                f"The gate knows {about.ids[0]} from the day that its advisory is in the data, not before.",
            ),
        )
    return "no finding names a package and its vulnerability (scan the lock file or the SBOM)"
