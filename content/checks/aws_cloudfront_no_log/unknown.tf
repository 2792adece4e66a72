resource "aws_cloudfront_distribution" "a" {
  dynamic "logging_config" {
    for_each = var.l
    content {}
  }
}
