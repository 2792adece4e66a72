resource "google_storage_bucket" "a" {
  name = "b"
}
