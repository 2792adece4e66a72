resource "aws_db_snapshot" "a" {
  shared_accounts = var.accounts
}
