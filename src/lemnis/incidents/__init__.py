"""Stage: incident lifecycle, timeline and evidence."""
