resource "aws_dynamodb_table" "a" {
  server_side_encryption {
    enabled = var.setting
  }
}
