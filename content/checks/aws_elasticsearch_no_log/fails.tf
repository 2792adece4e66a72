resource "aws_elasticsearch_domain" "a" {
  domain_name = "d"
}
