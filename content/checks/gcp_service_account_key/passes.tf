resource "google_service_account_key" "a" {
  public_key_data = "x"
}
