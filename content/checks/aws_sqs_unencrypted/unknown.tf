resource "aws_sqs_queue" "a" {
  kms_master_key_id = var.key
}
