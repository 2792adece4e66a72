resource "aws_ecs_cluster" "a" {
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}
