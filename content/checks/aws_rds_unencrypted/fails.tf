resource "aws_db_instance" "a" {
  storage_encrypted = false
}
