resource "azurerm_storage_account_network_rules" "a" {
  default_action = "Deny"
}
