"""Service: the event lake, the journal and the evidence vault."""
