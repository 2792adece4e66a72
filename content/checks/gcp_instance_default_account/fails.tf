resource "google_compute_instance" "a" {
  service_account {
    scopes = ["cloud-platform"]
  }
}
