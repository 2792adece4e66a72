resource "aws_sqs_queue_policy" "a" {
  policy = jsonencode({
    Statement = [{ Effect = "Allow", Action = "sqs:*", Resource = "*", Principal = { AWS = "arn:aws:iam::111122223333:root" } }]
  })
}
