resource "aws_cloudtrail" "a" {
  enable_logging = var.setting
}
