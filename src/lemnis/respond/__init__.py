"""Stage: durable playbooks, actions, approvals and the effect ledger."""
