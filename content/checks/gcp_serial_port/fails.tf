resource "google_compute_instance" "a" {
  metadata = {
    serial-port-enable = true
  }
}
