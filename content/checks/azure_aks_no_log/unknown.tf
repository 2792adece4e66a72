resource "azurerm_kubernetes_cluster" "a" {
  dynamic "oms_agent" {
    for_each = var.l
    content {}
  }
}
