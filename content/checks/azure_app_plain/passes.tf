resource "azurerm_app_service" "a" {
  https_only = true
}
