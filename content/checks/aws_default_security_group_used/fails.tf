resource "aws_default_security_group" "a" {
  ingress {
    from_port = 0
    to_port = 0
    protocol = "-1"
    self = true
  }
}
