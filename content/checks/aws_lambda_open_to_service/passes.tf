resource "aws_lambda_permission" "a" {
  principal = "sns.amazonaws.com"
  source_arn = "arn:aws:sns:x"
}
