resource "aws_db_instance" "a" {
  password = random_password.p.result
}
