resource "aws_neptune_cluster" "a" {
  storage_encrypted = var.setting
}
