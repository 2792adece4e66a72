resource "azurerm_storage_account" "a" {
  name = "s"
}
