resource "azurerm_storage_account" "b" {
  https_traffic_only_enabled = false
}
