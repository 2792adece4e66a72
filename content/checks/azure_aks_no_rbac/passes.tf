resource "azurerm_kubernetes_cluster" "a" {
  role_based_access_control_enabled = true
}
