resource "google_compute_disk" "a" {
  disk_encryption_key {
    kms_key_self_link = "projects/x"
  }
}
