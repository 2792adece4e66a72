resource "aws_s3_bucket" "a" {
  bucket = "a"
}
resource "aws_s3_bucket_server_side_encryption_configuration" "a" {
  bucket = aws_s3_bucket.a.id
}
