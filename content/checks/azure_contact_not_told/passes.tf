resource "azurerm_security_center_contact" "a" {
  email = "soc@example.org"
  alert_notifications = true
  alerts_to_admins = true
}
