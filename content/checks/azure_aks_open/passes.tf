resource "azurerm_kubernetes_cluster" "a" {
  private_cluster_enabled = true
}
