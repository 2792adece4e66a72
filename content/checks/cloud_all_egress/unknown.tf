resource "aws_security_group" "a" {
  egress {
    from_port = 0
    to_port = 0
    protocol = "-1"
    cidr_blocks = var.targets
  }
}
