resource "aws_instance" "a" {
  root_block_device {
    encrypted = true
  }
}
