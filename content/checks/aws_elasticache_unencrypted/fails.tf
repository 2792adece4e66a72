resource "aws_elasticache_replication_group" "a" {
  at_rest_encryption_enabled = false
}
