resource "google_container_cluster" "a" {
  network_policy {
    enabled = true
  }
}
