resource "aws_mq_broker" "a" {
  publicly_accessible = false
}
