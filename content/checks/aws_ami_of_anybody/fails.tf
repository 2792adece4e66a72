data "aws_ami" "a" {
  most_recent = true
}
