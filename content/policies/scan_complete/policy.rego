# A gate without a scanner sees nothing.
package lemnis.scan_complete

import rego.v1

deny contains reason if {
    count(input.health) == 0
    count(input.change.files) > 0
    reason := {
        "message": sprintf("no scanner reads any of the tree: %d changed files were not looked at", [
            count(input.change.files),
        ]),
        "where": sprintf("commit %s", [input.change.commit]),
        "fix": "add a scanner for these files to content/scanners",
    }
}
