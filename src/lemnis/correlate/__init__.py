"""Stage: groups alerts that share entities into incidents."""
