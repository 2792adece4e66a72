resource "google_storage_bucket" "a" {
  logging {
    log_bucket = "logs"
  }
}
