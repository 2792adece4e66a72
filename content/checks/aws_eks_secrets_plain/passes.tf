resource "aws_eks_cluster" "a" {
  encryption_config {
    resources = ["secrets"]
  }
}
