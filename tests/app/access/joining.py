"""Somebody who joined, for tests; no test itself."""

import argon2

from lemnis.app.access import accounts, passwords

START = 1_790_000_000_000
PASSWORD = "a lemniscate turns twice"
FAST = passwords.Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


def joined(access, name, *roles, teams=()):
    _, invitation = accounts.add(access, name, roles, teams, actor="root")
    return accounts.accept(access, invitation.secret, "", PASSWORD, address="10.0.0.9")
