resource "aws_athena_database" "a" {
  name = "a"
  dynamic "encryption_configuration" {
    for_each = var.e
    content {}
  }
}
