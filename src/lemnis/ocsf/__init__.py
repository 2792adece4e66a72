"""Foundation: the pinned OCSF classes as Arrow schemas, and their validation."""
