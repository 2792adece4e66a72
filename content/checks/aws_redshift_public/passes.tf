resource "aws_redshift_cluster" "a" {
  publicly_accessible = false
}
