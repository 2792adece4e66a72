resource "azurerm_data_lake_store" "a" {
  encryption_state = "Disabled"
}
