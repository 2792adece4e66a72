data "aws_ami" "a" {
  owners = var.o
}
