resource "azurerm_network_watcher_flow_log" "a" {
  enabled = false
  retention_policy {
    enabled = true
    days = 7
  }
}
