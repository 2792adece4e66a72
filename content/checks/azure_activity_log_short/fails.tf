resource "azurerm_monitor_log_profile" "a" {
  retention_policy {
    enabled = true
    days = 7
  }
}
