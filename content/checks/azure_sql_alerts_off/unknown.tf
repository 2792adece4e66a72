resource "azurerm_mssql_server_security_alert_policy" "a" {
  disabled_alerts = var.d
}
