resource "azurerm_storage_account_network_rules" "a" {
  default_action = "Allow"
}
resource "azurerm_storage_account" "a" {
  network_rules {
    default_action = "Allow"
  }
}
