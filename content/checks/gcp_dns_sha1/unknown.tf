resource "google_dns_managed_zone" "a" {
  dnssec_config {
    default_key_specs {
      algorithm = var.a
    }
  }
}
