resource "aws_ami_launch_permission" "a" {
  account_id = "111122223333"
}
