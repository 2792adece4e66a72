resource "google_compute_instance" "a" {
  metadata = {
    block-project-ssh-keys = true
  }
}
