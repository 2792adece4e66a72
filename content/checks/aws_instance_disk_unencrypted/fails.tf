resource "aws_instance" "a" {
  root_block_device {
    encrypted = false
  }
  ebs_block_device {
    device_name = "b"
  }
}
