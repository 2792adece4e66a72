resource "aws_api_gateway_method_settings" "a" {
  settings {
    caching_enabled = true
    cache_data_encrypted = false
  }
}
