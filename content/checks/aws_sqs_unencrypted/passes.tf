resource "aws_sqs_queue" "a" {
  kms_master_key_id = aws_kms_key.k.arn
}
