resource "aws_cloudfront_distribution" "a" {
  viewer_certificate {
    minimum_protocol_version = "TLSv1"
  }
}
