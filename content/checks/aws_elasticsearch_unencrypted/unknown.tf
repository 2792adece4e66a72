resource "aws_elasticsearch_domain" "a" {
  encrypt_at_rest {
    enabled = var.setting
  }
}
