resource "aws_redshift_cluster" "a" {
  encrypted = false
}
