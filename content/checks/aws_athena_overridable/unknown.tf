resource "aws_athena_workgroup" "a" {
  configuration {
    enforce_workgroup_configuration = var.e
  }
}
