resource "aws_cloudfront_distribution" "a" {
  web_acl_id = var.w
}
