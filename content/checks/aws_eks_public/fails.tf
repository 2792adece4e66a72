resource "aws_eks_cluster" "a" {
  vpc_config {
    subnet_ids = ["a"]
  }
}
