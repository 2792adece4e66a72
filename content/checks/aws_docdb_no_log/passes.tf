resource "aws_docdb_cluster" "a" {
  enabled_cloudwatch_logs_exports = ["audit"]
}
