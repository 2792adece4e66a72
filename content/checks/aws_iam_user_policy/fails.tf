resource "aws_iam_user_policy" "a" {
  user = "a"
}
