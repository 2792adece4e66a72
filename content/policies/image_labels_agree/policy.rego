# A label that contradicts the provenance is about another image, or the provenance is: nobody knows which.
package lemnis.image_labels_agree

import rego.v1

deny contains reason if {
    some label in input.labels.compared
    label.state == "contradicts"
    reason := {
        "message": sprintf("the %s %s says %s: %s", [label.place, label.name, label.value, label.why]),
        "where": sprintf("image %s", [input.image.digest]),
        "fix": "find out who pushed it; build it again, with labels from the same commit",
    }
}
