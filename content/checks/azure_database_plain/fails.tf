resource "azurerm_postgresql_server" "a" {
  ssl_enforcement_enabled = false
}
