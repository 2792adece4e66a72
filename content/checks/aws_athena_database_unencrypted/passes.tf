resource "aws_athena_database" "a" {
  name = "a"
  encryption_configuration {
    encryption_option = "SSE_KMS"
  }
}
