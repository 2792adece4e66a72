resource "aws_rds_cluster_instance" "a" {
  publicly_accessible = true
}
