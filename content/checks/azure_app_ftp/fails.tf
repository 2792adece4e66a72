resource "azurerm_app_service" "a" {
  site_config {
    ftps_state = "AllAllowed"
  }
}
