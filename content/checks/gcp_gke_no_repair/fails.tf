resource "google_container_node_pool" "a" {
  management {
    auto_repair = false
    auto_upgrade = false
  }
}
