resource "aws_db_instance" "a" {
  publicly_accessible = true
}
