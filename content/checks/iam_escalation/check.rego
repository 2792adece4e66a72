# Policy allows to take further rights.
package lemnis.iam_escalation

import rego.v1

actions := [
    "iam:*", "iam:AttachUserPolicy", "iam:AttachRolePolicy", "iam:AttachGroupPolicy", "iam:PutUserPolicy", "iam:PutRolePolicy",
    "iam:PutGroupPolicy", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:AddUserToGroup", "iam:CreateAccessKey",
    "iam:CreateLoginProfile", "iam:UpdateLoginProfile", "iam:UpdateAssumeRolePolicy", "iam:PassRole",
]

fail contains {"resource": i, "path": ["statements", n], "message": sprintf("%s on every resource", [action])} if {
    some i, one in input.resources
    some n, statement in one.statements
    statement.effect == "Allow"
    not statement.conditions == true
    "*" in statement.resources
    some action in statement.actions
    action in actions
}
