resource "aws_athena_workgroup" "a" {
  configuration {
    result_configuration {
      dynamic "encryption_configuration" {
        for_each = var.e
        content {}
      }
    }
  }
}
