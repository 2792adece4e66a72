resource "azurerm_storage_account" "a" {
  min_tls_version = "TLS1_2"
}
