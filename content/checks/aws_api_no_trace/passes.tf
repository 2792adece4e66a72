resource "aws_api_gateway_stage" "a" {
  xray_tracing_enabled = true
}
