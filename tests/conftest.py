"""What all tests share: a busy machine is no failure, so Hypothesis sets no deadline for an example."""

from hypothesis import settings

settings.register_profile("lemnis", deadline=None)
settings.load_profile("lemnis")
