resource "azurerm_storage_account" "a" {
  enable_https_traffic_only = false
}
