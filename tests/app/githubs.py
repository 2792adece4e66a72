"""Answers of GitHub about a repository that is set up well, one that is not, and their organisation; no test itself."""

ALLOWED = "/actions/permissions"


def well(name="example/shop", **more):
    at = f"/repos/{name}"
    return {
        at: (200, {
            "full_name": name, "visibility": "public", "private": False, "archived": False, "default_branch": "main",
            "owner": {"login": name.partition("/")[0], "type": "Organization"}, "permissions": {"admin": True},
            "security_and_analysis": {"secret_scanning": {"status": "enabled"}, "secret_scanning_push_protection": {"status": "enabled"}},
        }),
        f"{at}/branches/main": (200, {"name": "main", "protected": True}),
        f"{at}/branches/main/protection": (200, {
            "required_pull_request_reviews": {"required_approving_review_count": 2, "require_code_owner_reviews": True, "dismiss_stale_reviews": True},
            "required_status_checks": {"strict": True, "contexts": ["gate"], "checks": [{"context": "gate"}]},
            "enforce_admins": {"enabled": True}, "required_signatures": {"enabled": True},
            "allow_force_pushes": {"enabled": False}, "allow_deletions": {"enabled": False},
        }),
        f"{at}/rules/branches/main": (200, []),
        f"{at}/vulnerability-alerts": (204, None),
        f"{at}/automated-security-fixes": (200, {"enabled": True, "paused": False}),
        f"{at}/code-scanning/default-setup": (200, {"state": "configured"}),
        f"{at}/private-vulnerability-reporting": (200, {"enabled": True}),
        f"{at}{ALLOWED}": (200, {"enabled": True, "allowed_actions": "selected", "sha_pinning_required": True}),
        f"{at}{ALLOWED}/workflow": (200, {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False}),
        f"{at}{ALLOWED}/fork-pr-contributor-approval": (200, {"approval_policy": "all_external_contributors"}),
        f"{at}/contents": (200, [{"name": "SECURITY.md", "type": "file"}, {"name": ".github", "type": "dir"}]),
        f"{at}/contents/.github": (200, [{"name": "CODEOWNERS", "type": "file"}]),
        f"{at}/keys": (200, [{"id": 1, "title": "ci", "read_only": True}]),
        f"{at}/hooks": (200, [{"id": 2, "active": True, "config": {"url": "https://ci.example/hook?key=hidden", "secret": "********", "insecure_ssl": "0"}}]),
        f"{at}/collaborators": (200, [{"login": "guest", "permissions": {"admin": False}}]),
        f"{at}/environments": (200, {"total_count": 1, "environments": [
            {"name": "production", "protection_rules": [{"type": "required_reviewers"}, {"type": "branch_policy"}], "deployment_branch_policy": {"protected_branches": True}}]}),
        **{f"{at}{path}": said for path, said in more.items()},
    }  # fmt: skip


def badly(name="example/bad"):
    at = f"/repos/{name}"
    said = well(name)
    del (
        said[f"{at}/branches/main/protection"],
        said[f"{at}/vulnerability-alerts"],
        said[f"{at}/automated-security-fixes"],
    )
    return said | {
        at: (200, {**said[at][1], "security_and_analysis": {"secret_scanning": {"status": "disabled"}, "secret_scanning_push_protection": {"status": "disabled"}}}),
        f"{at}/branches/main": (200, {"name": "main", "protected": False}),
        f"{at}/code-scanning/default-setup": (200, {"state": "not-configured"}),
        f"{at}/code-scanning/analyses": (404, {"message": "no analysis found"}),
        f"{at}/private-vulnerability-reporting": (200, {"enabled": False}),
        f"{at}{ALLOWED}": (200, {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False}),
        f"{at}{ALLOWED}/workflow": (200, {"default_workflow_permissions": "write", "can_approve_pull_request_reviews": True}),
        f"{at}{ALLOWED}/fork-pr-contributor-approval": (200, {"approval_policy": "first_time_contributors"}),
        f"{at}/contents": (200, [{"name": "README.md", "type": "file"}]),
        f"{at}/keys": (200, [{"id": n, "title": f"key {n}", "read_only": n != 130} for n in range(1, 151)]),
        f"{at}/hooks": (200, [
            {"id": 3, "active": True, "config": {"url": "http://ci.example/hook", "insecure_ssl": "1"}},
            {"id": 4, "active": False, "config": {"url": "http://old.example/hook", "insecure_ssl": "1"}},
        ]),
        f"{at}/collaborators": (200, [{"login": "guest", "permissions": {"admin": True}}]),
        f"{at}/environments": (200, {"total_count": 1, "environments": [{"name": "production", "protection_rules": [], "deployment_branch_policy": None}]}),
    }  # fmt: skip


def organization(name="example", *, good=True):
    at = f"/orgs/{name}"
    return {
        at: (200, {
            "login": name, "two_factor_requirement_enabled": good, "default_repository_permission": "read" if good else "admin",
            "members_can_create_public_repositories": not good, "members_can_fork_private_repositories": not good,
            "web_commit_signoff_required": good,
        }),
        f"{at}{ALLOWED}": (200, {"enabled_repositories": "all", "allowed_actions": "selected" if good else "all", "sha_pinning_required": good}),
        f"{at}{ALLOWED}/workflow": (200, {"default_workflow_permissions": "read" if good else "write", "can_approve_pull_request_reviews": not good}),
        f"{at}/hooks": (200, []),
        f"{at}/repos": (200, [{"full_name": f"{name}/shop", "archived": False}, {"full_name": f"{name}/old", "archived": True}]),
    }  # fmt: skip
