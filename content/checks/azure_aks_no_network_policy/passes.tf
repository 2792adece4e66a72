resource "azurerm_kubernetes_cluster" "a" {
  network_profile {
    network_policy = "calico"
  }
}
