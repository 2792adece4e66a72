resource "aws_eks_cluster" "a" {
  dynamic "encryption_config" {
    for_each = var.keys
    content {}
  }
}
