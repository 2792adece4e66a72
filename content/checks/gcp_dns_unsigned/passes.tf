resource "google_dns_managed_zone" "a" {
  dnssec_config {
    state = "on"
  }
}
