resource "google_compute_instance" "a" {
  metadata = {
    enable-oslogin = true
  }
}
