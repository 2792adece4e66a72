resource "google_sql_database_instance" "a" {
  settings {
    ip_configuration {
      authorized_networks {
        value = var.network
      }
    }
  }
}
