resource "google_compute_instance" "a" {
  network_interface {
    network = "a"
    access_config {
    }
  }
}
