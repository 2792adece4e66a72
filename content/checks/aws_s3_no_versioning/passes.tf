resource "aws_s3_bucket" "a" {
  versioning {
    enabled = true
  }
}
