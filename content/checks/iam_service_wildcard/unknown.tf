resource "aws_iam_policy" "a" {
  policy = var.policy
}
