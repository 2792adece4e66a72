resource "aws_ebs_volume" "a" {
  encrypted = true
}
