resource "google_compute_subnetwork" "a" {
  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}
