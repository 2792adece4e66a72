resource "aws_sfn_state_machine" "a" {
  tracing_configuration {
    enabled = var.l
  }
}
