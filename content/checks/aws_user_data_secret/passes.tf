resource "aws_instance" "a" {
  user_data = "echo hello"
}
