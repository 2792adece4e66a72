resource "google_compute_instance" "a" {
  shielded_instance_config {
    enable_vtpm = var.vtpm
  }
}
