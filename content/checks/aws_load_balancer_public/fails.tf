resource "aws_lb" "a" {
  internal = false
}
