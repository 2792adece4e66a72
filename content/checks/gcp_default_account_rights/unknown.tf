resource "google_project_iam_member" "a" {
  role = "roles/run.viewer"
  member = var.m
}
