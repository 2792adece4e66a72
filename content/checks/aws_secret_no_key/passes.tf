resource "aws_secretsmanager_secret" "a" {
  kms_key_id = aws_kms_key.k.arn
}
