resource "aws_athena_workgroup" "a" {
  configuration {
    result_configuration {
      output_location = "s3://x"
    }
  }
}
