resource "aws_cloudwatch_log_group" "a" {
  kms_key_id = aws_kms_key.k.arn
}
