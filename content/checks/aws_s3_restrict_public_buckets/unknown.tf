resource "aws_s3_bucket_public_access_block" "a" {
  restrict_public_buckets = var.setting
}
