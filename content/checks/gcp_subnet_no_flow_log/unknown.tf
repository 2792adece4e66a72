resource "google_compute_subnetwork" "a" {
  dynamic "log_config" {
    for_each = var.logs
    content {}
  }
}
