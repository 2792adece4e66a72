resource "aws_api_gateway_stage" "a" {
  access_log_settings {
    destination_arn = "arn:aws:logs:x"
    format = "json"
  }
}
