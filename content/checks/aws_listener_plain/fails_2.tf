resource "aws_lb_listener" "b" {
  protocol = "HTTP"
}
