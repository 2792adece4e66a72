resource "aws_network_acl_rule" "a" {
  rule_action = "allow"
  protocol = "tcp"
  from_port = 443
  to_port = 443
}
