resource "google_kms_crypto_key" "a" {
  name = "a"
}
