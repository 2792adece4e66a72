resource "google_container_cluster" "a" {
  monitoring_service = var.setting
}
