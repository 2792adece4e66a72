resource "azurerm_storage_account" "b" {
  allow_blob_public_access = true
}
