resource "aws_eks_cluster" "a" {
  name = "a"
}
