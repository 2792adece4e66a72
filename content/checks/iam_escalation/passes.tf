resource "aws_iam_policy" "a" {
  policy = jsonencode({
    Statement = [{ Effect = "Allow", Action = "iam:GetUser", Resource = "*" }]
  })
}
