"""Stage: runs scanners and reads what they say."""
