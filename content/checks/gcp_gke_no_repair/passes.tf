resource "google_container_node_pool" "a" {
  management {
    auto_repair = true
    auto_upgrade = true
  }
}
