resource "google_sql_database_instance" "a" {
  settings {
    backup_configuration {
      enabled = var.e
    }
  }
}
