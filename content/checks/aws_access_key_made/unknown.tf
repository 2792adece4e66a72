resource "aws_iam_access_key" "a" {
  pgp_key = var.key
}
