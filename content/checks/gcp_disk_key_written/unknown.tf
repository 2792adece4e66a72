resource "google_compute_disk" "a" {
  disk_encryption_key {
    raw_key = var.k
  }
}
