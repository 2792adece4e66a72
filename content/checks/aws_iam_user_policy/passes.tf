resource "aws_iam_user_policy" "a" {
  name = "a"
}
