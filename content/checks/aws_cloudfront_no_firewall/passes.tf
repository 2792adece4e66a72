resource "aws_cloudfront_distribution" "a" {
  web_acl_id = "arn:aws:wafv2:x"
}
