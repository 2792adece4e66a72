resource "aws_dax_cluster" "a" {
  server_side_encryption {
    enabled = true
  }
}
