resource "google_storage_bucket" "a" {
  dynamic "logging" {
    for_each = var.l
    content {}
  }
}
