resource "google_compute_instance" "a" {
  dynamic "network_interface" {
    for_each = var.nets
    content {}
  }
}
