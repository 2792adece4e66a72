resource "google_container_cluster" "a" {
  name = "a"
}
