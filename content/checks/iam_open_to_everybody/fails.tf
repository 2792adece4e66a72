resource "aws_sqs_queue_policy" "a" {
  policy = jsonencode({
    Statement = [{ Effect = "Allow", Action = "sqs:SendMessage", Resource = "arn:aws:sqs:eu-west-1:111122223333:a", Principal = "*" }]
  })
}
