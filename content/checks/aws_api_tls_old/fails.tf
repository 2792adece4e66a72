resource "aws_api_gateway_domain_name" "a" {
  security_policy = "TLS_1_0"
}
