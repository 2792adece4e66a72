# What is added is thought about.
package lemnis.threat_model_follows

import rego.v1

names := {
    "entry_point": "an entry point", "data_store": "a data store", "trust_boundary": "a trust boundary",
    "personal_data": "personal data",
}

deny contains reason if {
    not input.threats.followed
    some kind, name in names
    places := [one.where | some one in input.threats.added; one.kind == kind]
    count(places) > 0
    reason := {
        "message": sprintf("adds %s (%d lines), and the threat model does not follow", [name, count(places)]),
        "where": places[0],
        "fix": fix,
    }
}

fix := "write threats.yaml: what comes in, what is kept, where trust ends" if input.threats.model == ""

fix := sprintf("look at %s again, and change it", [input.threats.model]) if input.threats.model != ""
