"""The public test kit: simulators and helpers that content and plug-in authors use in their own tests."""
