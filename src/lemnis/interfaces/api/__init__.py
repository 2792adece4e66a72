"""The HTTP API and what guards it: who asks, from where, how much and how often."""
