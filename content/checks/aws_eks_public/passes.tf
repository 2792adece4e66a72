resource "aws_eks_cluster" "a" {
  vpc_config {
    endpoint_public_access = false
  }
}
