resource "google_storage_bucket_iam_member" "a" {
  member = var.member
}
