resource "aws_api_gateway_stage" "a" {
  dynamic "access_log_settings" {
    for_each = var.logs
    content {}
  }
}
