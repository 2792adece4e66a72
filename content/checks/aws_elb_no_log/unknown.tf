resource "aws_elb" "a" {
  access_logs {
    bucket  = "logs"
    enabled = var.e
  }
}
