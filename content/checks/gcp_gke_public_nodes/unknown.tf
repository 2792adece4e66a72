resource "google_container_cluster" "a" {
  private_cluster_config {
    enable_private_nodes = var.private
  }
}
