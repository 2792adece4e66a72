resource "aws_api_gateway_stage" "a" {
  stage_name = "live"
}
