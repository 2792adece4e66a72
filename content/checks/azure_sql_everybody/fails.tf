resource "azurerm_sql_firewall_rule" "a" {
  start_ip_address = "0.0.0.0"
  end_ip_address = "255.255.255.255"
}
