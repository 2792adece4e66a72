data "aws_ami" "a" {
  owners = ["self"]
}
