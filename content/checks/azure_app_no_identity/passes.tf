resource "azurerm_app_service" "a" {
  identity {
    type = "SystemAssigned"
  }
}
