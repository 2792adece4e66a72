resource "aws_dynamodb_table" "a" {
  point_in_time_recovery {
    enabled = var.setting
  }
}
