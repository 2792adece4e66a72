resource "aws_cloudtrail" "a" {
  enable_log_file_validation = true
}
