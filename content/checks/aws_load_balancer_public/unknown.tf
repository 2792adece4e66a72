resource "aws_lb" "a" {
  internal = var.i
}
