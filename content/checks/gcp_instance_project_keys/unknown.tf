resource "google_compute_instance" "a" {
  metadata = var.m
}
