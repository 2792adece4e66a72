resource "azurerm_kubernetes_cluster" "a" {
  name = "c"
}
