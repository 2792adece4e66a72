"""Stage: transports, parsers and the mapping interpreter, from bytes to OCSF."""
