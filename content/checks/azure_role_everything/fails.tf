resource "azurerm_role_definition" "a" {
  permissions {
    actions = ["*"]
  }
}
