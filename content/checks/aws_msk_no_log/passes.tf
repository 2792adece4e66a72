resource "aws_msk_cluster" "a" {
  logging_info {
    broker_logs {
      s3 {
        enabled = true
      }
    }
  }
}
