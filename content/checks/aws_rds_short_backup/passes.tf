resource "aws_db_instance" "a" {
  backup_retention_period = 7
}
