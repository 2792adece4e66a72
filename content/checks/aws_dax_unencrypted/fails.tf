resource "aws_dax_cluster" "a" {
  cluster_name = "c"
}
