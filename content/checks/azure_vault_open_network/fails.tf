resource "azurerm_key_vault" "a" {
  name = "a"
}
