resource "aws_athena_database" "a" {
  name = "a"
  bucket = "b"
}
