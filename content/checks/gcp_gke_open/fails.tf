resource "google_container_cluster" "a" {
  name = "a"
}
resource "google_container_cluster" "b" {
  master_authorized_networks_config {
    cidr_blocks {
      cidr_block = "0.0.0.0/0"
    }
  }
}
