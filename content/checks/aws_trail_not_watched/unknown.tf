resource "aws_cloudtrail" "a" {
  cloud_watch_logs_group_arn = var.g
}
