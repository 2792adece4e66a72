resource "aws_lb" "a" {
  internal = true
}
