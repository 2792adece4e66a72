resource "azurerm_storage_account" "a" {
  allow_nested_items_to_be_public = true
}
