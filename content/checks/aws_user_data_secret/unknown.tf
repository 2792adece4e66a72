resource "aws_instance" "a" {
  user_data = var.script
}
