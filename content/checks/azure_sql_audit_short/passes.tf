resource "azurerm_mssql_database_extended_auditing_policy" "a" {
  retention_in_days = 90
}
