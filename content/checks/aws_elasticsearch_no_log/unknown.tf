resource "aws_elasticsearch_domain" "a" {
  log_publishing_options {
    log_type = var.t
  }
}
