resource "aws_network_acl_rule" "a" {
  rule_action = "allow"
  protocol = var.p
}
