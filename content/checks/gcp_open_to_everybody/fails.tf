resource "google_storage_bucket_iam_member" "a" {
  member = "allUsers"
}
resource "google_storage_bucket_iam_binding" "a" {
  members = ["allAuthenticatedUsers"]
}
resource "google_bigquery_dataset" "a" {
  access {
    special_group = "allAuthenticatedUsers"
  }
}
resource "google_storage_bucket_access_control" "a" {
  entity = "allUsers"
}
