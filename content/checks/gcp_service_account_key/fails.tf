resource "google_service_account_key" "a" {
  service_account_id = "a"
}
