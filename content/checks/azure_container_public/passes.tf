resource "azurerm_storage_container" "a" {
  container_access_type = "private"
}
