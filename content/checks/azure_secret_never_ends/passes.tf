resource "azurerm_key_vault_secret" "a" {
  expiration_date = "2027-06-30T00:00:00Z"
}
