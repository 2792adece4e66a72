# Whoever is of no security role decides on findings of what the own team owns, and on no others.
package lemnis.team_owns_service

import rego.v1

security := {"analyst", "responder", "detection_engineer"}

of_security if {
    some role in input.person.roles
    role in security
}

owns if {
    input.about.team != ""
    input.about.team in input.person.teams
}

owns if {
    input.about.owner != ""
    input.about.owner == input.person.name
}

deny contains reason if {
    input.permission == "finding.change"
    not of_security
    not owns
    reason := {
        "message": sprintf("%s is of no team that owns %s", [input.person.name, input.about.service]),
        "fix": "ask a member of the team that owns it",
    }
}
