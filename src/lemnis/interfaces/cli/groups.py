"""Groups of commands that several modules add to: ``group(app, "incident").command("trace")(trace)``."""

from __future__ import annotations

import typer

HELP = {
    "access": "Who may sign in to the console, and what they may.",
    "assets": "What is known of machines, people and networks, as of a time.",
    "attest": "Build provenance: sign, record, verify.",
    "case": "Cases: the work file over one or more incidents.",
    "checks": "What is judged of manifests, images, workflows and plans.",
    "content": "What decides: rules, policies, playbooks and the rest, as files.",
    "findings": "What scanners found.",
    "graph": "Who runs what, built from what, owned by whom: as of a time, each with its proof.",
    "incident": "Incidents: alerts under one response.",
    "lake": "The lake's keeping: status, history, check, compaction, retention, holds.",
    "intel": "Threat intelligence: indicators over what came in.",
    "journal": "The account of every decision and transition.",
    "lesson": "Lessons: from a closed incident to a proven gate.",
    "playbook": "Response: plan, approve, run, undo.",
    "posture": "How repositories are set up, judged by the checks.",
    "policies": "Policies as code: list, lint, test.",
    "rules": "Detections as code.",
    "searches": "Saved searches that run on a schedule.",
    "sources": "Log sources: mappings, tests, health.",
    "threats": "The threat model beside the code: what can go wrong, and what a change adds.",
    "vulnerabilities": "What is known to be vulnerable, and why.",
    "worker": "The processes of a cluster: gateways, workers, the correlator.",
}


def group(app: typer.Typer, name: str) -> typer.Typer:
    """Return the group of this name in ``app``, made on first use; raises KeyError for an unknown name."""
    for known in app.registered_groups:
        if known.name == name and known.typer_instance is not None:
            return known.typer_instance
    made = typer.Typer(help=HELP[name], no_args_is_help=True)
    app.add_typer(made, name=name)
    return made
