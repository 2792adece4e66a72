resource "azurerm_storage_account" "a" {
  blob_properties {
    dynamic "delete_retention_policy" {
      for_each = var.d
      content {}
    }
  }
}
