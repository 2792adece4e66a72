"""What is known beside the events: assets, identities, networks, names and vulnerabilities, as of event time.

Pure: a batch and tables in, a batch with a column ``enrichments`` out. What an event says is never changed.
"""

from lemnis.enrich.batch import enrich
from lemnis.enrich.tables import Tables
from lemnis.enrich.view import FIELDS, seen

__all__ = ["FIELDS", "Tables", "enrich", "seen"]
