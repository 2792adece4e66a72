resource "google_container_cluster" "a" {
  logging_service = "none"
}
