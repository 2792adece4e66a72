"""Stage: the Sigma compiler and the batch matcher."""
