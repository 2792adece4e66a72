resource "aws_sqs_queue_policy" "a" {
  policy = var.policy
}
