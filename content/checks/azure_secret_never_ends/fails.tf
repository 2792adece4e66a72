resource "azurerm_key_vault_secret" "a" {
  name = "a"
}
