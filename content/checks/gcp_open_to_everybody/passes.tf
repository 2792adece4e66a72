resource "google_storage_bucket_iam_member" "a" {
  member = "group:team@example.org"
}
