resource "aws_ebs_volume" "a" {
  encrypted = var.setting
}
