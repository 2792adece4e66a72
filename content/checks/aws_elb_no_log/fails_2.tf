resource "aws_elb" "a" {
  name = "b"
}
