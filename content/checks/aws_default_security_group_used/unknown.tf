resource "aws_default_security_group" "a" {
  dynamic "ingress" {
    for_each = var.rules
    content {}
  }
}
