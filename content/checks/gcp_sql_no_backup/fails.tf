resource "google_sql_database_instance" "a" {
  settings {
    tier = "t"
  }
}
