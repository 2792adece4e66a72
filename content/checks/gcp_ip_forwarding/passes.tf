resource "google_compute_instance" "a" {
  can_ip_forward = false
}
