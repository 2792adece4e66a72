resource "aws_ami_launch_permission" "a" {
  group = "all"
}
