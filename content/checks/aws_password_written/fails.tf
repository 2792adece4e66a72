resource "aws_db_instance" "a" {
  password = "hunter2hunter2"
}
