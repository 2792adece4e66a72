resource "aws_ecr_repository" "a" {
  image_scanning_configuration {
    scan_on_push = false
  }
}
