resource "azurerm_mssql_server" "a" {
  public_network_access_enabled = true
}
