resource "aws_lambda_permission" "a" {
  principal = "sns.amazonaws.com"
}
