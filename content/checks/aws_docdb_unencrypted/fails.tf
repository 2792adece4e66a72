resource "aws_docdb_cluster" "a" {
  storage_encrypted = false
}
