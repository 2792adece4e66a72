resource "google_compute_instance" "a" {
  shielded_instance_config {
    enable_vtpm = true
    enable_integrity_monitoring = true
  }
}
