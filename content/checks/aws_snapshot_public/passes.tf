resource "aws_db_snapshot" "a" {
  shared_accounts = ["111122223333"]
}
