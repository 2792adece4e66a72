resource "aws_redshift_cluster" "a" {
  node_type = "x"
}
