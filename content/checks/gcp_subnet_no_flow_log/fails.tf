resource "google_compute_subnetwork" "a" {
  name = "a"
}
