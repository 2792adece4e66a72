resource "google_project_iam_member" "a" {
  role = "roles/run.viewer"
  member = "serviceAccount:shop@p.iam.gserviceaccount.com"
}
