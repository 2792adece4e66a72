resource "aws_default_security_group" "a" {
  vpc_id = aws_vpc.v.id
}
