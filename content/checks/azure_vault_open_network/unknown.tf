resource "azurerm_key_vault" "a" {
  network_acls {
    default_action = var.action
  }
}
