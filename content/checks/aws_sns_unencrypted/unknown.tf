resource "aws_sns_topic" "a" {
  kms_master_key_id = var.key
}
