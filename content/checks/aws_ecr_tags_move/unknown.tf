resource "aws_ecr_repository" "a" {
  image_tag_mutability = var.tags
}
