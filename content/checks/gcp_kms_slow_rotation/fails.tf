resource "google_kms_crypto_key" "a" {
  rotation_period = "15552000s"
}
