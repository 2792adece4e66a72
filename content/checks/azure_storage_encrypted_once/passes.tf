resource "azurerm_storage_account" "a" {
  infrastructure_encryption_enabled = true
}
