resource "google_iam_workload_identity_pool_provider" "a" {
  attribute_condition = "assertion.repository_owner_id == '1'"
}
