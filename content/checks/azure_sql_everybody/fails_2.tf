resource "azurerm_sql_firewall_rule" "b" {
  start_ip_address = "0.0.0.0"
  end_ip_address = "0.0.0.0"
}
