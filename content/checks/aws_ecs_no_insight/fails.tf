resource "aws_ecs_cluster" "a" {
  name = "c"
}
