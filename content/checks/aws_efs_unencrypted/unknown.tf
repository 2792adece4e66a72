resource "aws_efs_file_system" "a" {
  encrypted = var.setting
}
