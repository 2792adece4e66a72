resource "aws_lb_listener" "a" {
  protocol = var.protocol
  default_action {
    type = "forward"
  }
}
