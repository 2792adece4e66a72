resource "azurerm_storage_account" "a" {
  blob_properties {
    delete_retention_policy {
      days = 30
    }
  }
}
