resource "azurerm_key_vault_secret" "a" {
  expiration_date = var.end
}
