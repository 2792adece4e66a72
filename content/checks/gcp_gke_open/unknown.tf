resource "google_container_cluster" "a" {
  master_authorized_networks_config {
    cidr_blocks {
      cidr_block = var.network
    }
  }
}
