# An image without a provenance that holds is not deployed.
package lemnis.image_attested

import rego.v1

where := sprintf("image %s", [input.image.digest])

deny contains reason if {
    not input.attestation.verified
    reason := {
        "message": sprintf("no attestation that holds: %s", [input.attestation.problem]),
        "where": where,
        "fix": "sign it in the build: lemnis attest sign",
    }
}

deny contains reason if {
    input.attestation.verified
    not input.attestation.commit_known
    reason := {
        "message": sprintf("built from %s, which is no commit of the repository", [input.attestation.commit]),
        "where": where,
        "fix": "build from a commit that is in the repository",
    }
}

deny contains reason if {
    input.attestation.verified
    input.attestation.commit_known
    input.attestation.build_gate != "allow"
    reason := {
        "message": sprintf("commit %s did not pass the build gate: %s", [
            input.attestation.commit, input.attestation.build_gate,
        ]),
        "where": where,
        "fix": "lemnis gate build on that commit must say allow",
    }
}
