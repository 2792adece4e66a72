resource "azurerm_app_service" "a" {
  site_config {
    min_tls_version = "1.2"
  }
}
