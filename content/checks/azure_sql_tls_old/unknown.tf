resource "azurerm_mssql_server" "a" {
  minimum_tls_version = var.tls
}
