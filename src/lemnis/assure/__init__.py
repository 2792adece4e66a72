"""Stage: controls, threat models and risk, kept beside the code they are about."""
