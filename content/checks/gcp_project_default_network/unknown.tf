resource "google_project" "a" {
  auto_create_network = var.a
}
