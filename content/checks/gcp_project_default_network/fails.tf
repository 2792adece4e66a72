resource "google_project" "a" {
  name = "p"
}
