resource "aws_cloudwatch_log_group" "a" {
  kms_key_id = var.key
}
