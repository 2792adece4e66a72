resource "aws_msk_cluster" "a" {
  cluster_name = "k"
}
