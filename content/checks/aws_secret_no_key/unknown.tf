resource "aws_secretsmanager_secret" "a" {
  kms_key_id = var.key
}
