resource "azurerm_kubernetes_cluster" "a" {
  role_based_access_control {
    enabled = false
  }
}
resource "azurerm_kubernetes_cluster" "b" {
  role_based_access_control_enabled = false
}
