resource "aws_db_instance" "a" {
  password = var.password
}
