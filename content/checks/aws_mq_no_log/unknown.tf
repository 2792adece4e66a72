resource "aws_mq_broker" "a" {
  engine_type = "ActiveMQ"
  logs {
    general = true
    audit = var.a
  }
}
