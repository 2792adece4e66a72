resource "aws_elasticache_cluster" "a" {
  engine = "redis"
  snapshot_retention_limit = var.n
}
