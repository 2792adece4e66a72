resource "google_sql_database_instance" "a" {
  settings {
    database_flags {
      name = "local_infile"
      value = "off"
    }
  }
}
