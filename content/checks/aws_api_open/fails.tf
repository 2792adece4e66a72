resource "aws_api_gateway_method" "a" {
  http_method = "GET"
  authorization = "NONE"
}
