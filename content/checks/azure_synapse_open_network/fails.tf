resource "azurerm_synapse_workspace" "a" {
  managed_virtual_network_enabled = false
}
