resource "azurerm_sql_firewall_rule" "a" {
  start_ip_address = "203.0.113.4"
  end_ip_address = "203.0.113.4"
}
