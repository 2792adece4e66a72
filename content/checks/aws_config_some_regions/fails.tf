resource "aws_config_configuration_aggregator" "a" {
  account_aggregation_source {
    account_ids = ["1"]
    regions = ["us-east-1"]
  }
}
