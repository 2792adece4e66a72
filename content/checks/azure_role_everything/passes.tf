resource "azurerm_role_definition" "a" {
  permissions {
    actions = ["Microsoft.Resources/subscriptions/resourceGroups/read"]
  }
}
