resource "google_compute_ssl_policy" "a" {
  min_tls_version = "TLS_1_2"
}
