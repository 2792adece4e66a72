resource "google_container_cluster" "a" {
  enable_legacy_abac = false
}
