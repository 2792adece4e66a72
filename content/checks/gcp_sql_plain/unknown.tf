resource "google_sql_database_instance" "a" {
  settings {
    ip_configuration {
      require_ssl = var.tls
    }
  }
}
