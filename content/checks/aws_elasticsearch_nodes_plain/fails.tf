resource "aws_elasticsearch_domain" "a" {
  node_to_node_encryption {
    enabled = false
  }
}
