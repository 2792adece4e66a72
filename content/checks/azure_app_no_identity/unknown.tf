resource "azurerm_app_service" "a" {
  dynamic "identity" {
    for_each = var.i
    content {}
  }
}
