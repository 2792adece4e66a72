provider "aws" {
  access_key = "AKIAIOSFODNN7EXAMPLE"
  secret_key = "x"
}
