resource "azurerm_app_service" "a" {
  name = "a"
}
