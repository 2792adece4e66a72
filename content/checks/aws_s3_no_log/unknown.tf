resource "aws_s3_bucket" "a" {
  dynamic "logging" {
    for_each = var.log
    content {
      target_bucket = logging.value
    }
  }
}
