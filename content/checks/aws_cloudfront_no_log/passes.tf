resource "aws_cloudfront_distribution" "a" {
  logging_config {
    bucket = "logs.s3.amazonaws.com"
  }
}
