resource "azurerm_storage_account" "a" {
  account_replication_type = "GRS"
}
