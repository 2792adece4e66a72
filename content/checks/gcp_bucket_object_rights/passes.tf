resource "google_storage_bucket" "a" {
  uniform_bucket_level_access = true
}
