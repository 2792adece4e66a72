resource "aws_elasticache_replication_group" "a" {
  transit_encryption_enabled = false
}
