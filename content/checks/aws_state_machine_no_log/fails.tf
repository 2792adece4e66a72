resource "aws_sfn_state_machine" "a" {
  name = "s"
}
