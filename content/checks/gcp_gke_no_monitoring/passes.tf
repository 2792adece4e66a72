resource "google_container_cluster" "a" {
  monitoring_service = "logging.googleapis.com/kubernetes"
}
