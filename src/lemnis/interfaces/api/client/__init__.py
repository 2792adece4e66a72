"""A typed client of the API, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from lemnis.interfaces.api.client.accounts import AccountsClient
from lemnis.interfaces.api.client.alerts import AlertsClient
from lemnis.interfaces.api.client.cases import CasesClient
from lemnis.interfaces.api.client.events import EventsClient
from lemnis.interfaces.api.client.evidence import EvidenceClient
from lemnis.interfaces.api.client.findings import FindingsClient
from lemnis.interfaces.api.client.incidents import IncidentsClient
from lemnis.interfaces.api.client.journal import JournalClient
from lemnis.interfaces.api.client.lessons import LessonsClient
from lemnis.interfaces.api.client.playbooks import PlaybooksClient
from lemnis.interfaces.api.client.rules import RulesClient
from lemnis.interfaces.api.client.self import SelfClient
from lemnis.interfaces.api.client.sources import SourcesClient


class Client(
    AccountsClient,
    AlertsClient,
    CasesClient,
    EventsClient,
    EvidenceClient,
    FindingsClient,
    IncidentsClient,
    JournalClient,
    LessonsClient,
    PlaybooksClient,
    RulesClient,
    SelfClient,
    SourcesClient,
):
    """All routes of the API by their operations."""
