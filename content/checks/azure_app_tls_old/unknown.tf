resource "azurerm_app_service" "a" {
  site_config {
    min_tls_version = var.tls
  }
}
