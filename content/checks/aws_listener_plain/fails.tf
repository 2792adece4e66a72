resource "aws_lb_listener" "a" {
  protocol = "HTTP"
  default_action {
    type = "forward"
  }
}
