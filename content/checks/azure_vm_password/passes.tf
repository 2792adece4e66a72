resource "azurerm_linux_virtual_machine" "a" {
  disable_password_authentication = true
}
