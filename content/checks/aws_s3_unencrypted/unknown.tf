resource "aws_s3_bucket" "a" {
  dynamic "server_side_encryption_configuration" {
    for_each = var.keys
    content {}
  }
}
