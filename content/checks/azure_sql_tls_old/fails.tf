resource "azurerm_mssql_server" "a" {
  minimum_tls_version = "1.0"
}
