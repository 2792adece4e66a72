# What nobody can show was not done.
package lemnis.image_evidence_complete

import rego.v1

wanted := ["sbom", "scan", "tests", "gate"]

deny contains reason if {
    some kind in wanted
    statement := input.statements[kind]
    statement.state != "verified"
    reason := {
        "message": sprintf("%s of the image: %s%s", [kind, statement.state, why(statement)]),
        "where": sprintf("image %s", [input.image.digest]),
        "fix": sprintf("attest it in the build: lemnis attest %s", [kind]),
    }
}

why(statement) := sprintf(" (%s)", [statement.problem]) if statement.problem != ""

why(statement) := "" if statement.problem == ""
