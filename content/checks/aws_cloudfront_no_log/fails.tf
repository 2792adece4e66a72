resource "aws_cloudfront_distribution" "a" {
  enabled = true
}
