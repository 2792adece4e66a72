resource "azurerm_kubernetes_cluster" "a" {
  oms_agent {
    log_analytics_workspace_id = "/x"
  }
}
