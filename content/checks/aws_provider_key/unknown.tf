provider "aws" {
  access_key = var.key
}
