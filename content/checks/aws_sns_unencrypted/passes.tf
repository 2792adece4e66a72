resource "aws_sns_topic" "a" {
  kms_master_key_id = aws_kms_key.k.arn
}
