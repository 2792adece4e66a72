resource "azurerm_security_center_contact" "a" {
  alert_notifications = false
  alerts_to_admins = false
}
