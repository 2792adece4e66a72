resource "google_compute_instance" "a" {
  service_account {
    email = google_service_account.a.email
    scopes = ["logging-write"]
  }
}
