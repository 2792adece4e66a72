resource "aws_cloudtrail" "a" {
  kms_key_id = aws_kms_key.k.arn
}
