resource "aws_s3_bucket" "a" {
  bucket = "a"
}
resource "aws_s3_bucket_public_access_block" "a" {
  bucket = aws_s3_bucket.a.id
  block_public_acls = var.block
  block_public_policy = var.block
  ignore_public_acls = var.block
  restrict_public_buckets = var.block
}
