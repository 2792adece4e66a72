resource "google_iam_workload_identity_pool_provider" "a" {
  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}
