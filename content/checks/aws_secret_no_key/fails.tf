resource "aws_secretsmanager_secret" "a" {
  name = "a"
}
