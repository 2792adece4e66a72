resource "google_compute_ssl_policy" "a" {
  name = "a"
}
