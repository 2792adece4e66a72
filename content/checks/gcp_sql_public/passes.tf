resource "google_sql_database_instance" "a" {
  settings {
    ip_configuration {
      ipv4_enabled = false
    }
  }
}
