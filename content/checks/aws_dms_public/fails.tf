resource "aws_dms_replication_instance" "a" {
  publicly_accessible = true
}
