resource "aws_workspaces_workspace" "a" {
  user_volume_encryption_enabled = true
}
