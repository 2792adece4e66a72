resource "aws_cloudtrail" "a" {
  enable_logging = false
}
