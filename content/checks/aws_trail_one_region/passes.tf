resource "aws_cloudtrail" "a" {
  is_multi_region_trail = true
}
