resource "google_container_cluster" "a" {
  logging_service = "logging.googleapis.com/kubernetes"
}
