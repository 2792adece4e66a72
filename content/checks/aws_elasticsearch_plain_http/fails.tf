resource "aws_elasticsearch_domain" "a" {
  domain_endpoint_options {
    enforce_https = false
    tls_security_policy = "Policy-Min-TLS-1-0-2019-07"
  }
}
