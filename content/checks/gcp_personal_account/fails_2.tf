resource "google_folder_iam_member" "a" {
  role   = "roles/run.viewer"
  member = "user:someone@gmail.com"
}
