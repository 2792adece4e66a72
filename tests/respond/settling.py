"""Playbooks that ask for approval, and the wait until a service has nothing to do; no test itself."""

import time

MINUTE = 60_000
STEPS = '- {id: act, action: vendor.switch, for_each: host, with: {name: "{host}"}}'
APPROVAL = "approval: {role: lead, quorum: 2, timeout_min: 60, escalate: {after_min: 10, role: boss}}\n"
ROLES = "roles: {lead: [ana, ben], boss: [cleo]}\n"


def settle(responder):
    """Look until nothing is under way."""
    for _ in range(3_000):
        responder.step()
        if not responder.busy and not responder.desk.woken and not responder.desk.approved:
            return
        time.sleep(0.02)
    raise AssertionError("it never came to rest")
