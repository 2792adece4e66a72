resource "aws_cloudtrail" "a" {
  name = "t"
}
