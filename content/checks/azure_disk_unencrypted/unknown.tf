resource "azurerm_managed_disk" "a" {
  encryption_settings {
    enabled = var.encrypted
  }
}
