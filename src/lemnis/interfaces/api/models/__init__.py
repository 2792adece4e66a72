"""The shapes of what the API takes and gives, by resource; routes take all of them from here.

Times are RFC 3339 in UTC unless a field ends in ``_ms``.
"""

from lemnis.interfaces.api.models.base import (
    Changed,
    Given,
    PersonName,
    PriorityName,
    Problem,
    Reason,
    SeverityName,
    StatusName,
    Text,
    Told,
    VerdictName,
)
from lemnis.interfaces.api.models.content import Finding, JournalEntry, Lesson, Rule, RuleDetail, Source
from lemnis.interfaces.api.models.events import Bar, Event, Histogram, Searched
from lemnis.interfaces.api.models.incidents import (
    Acknowledging,
    Alert,
    AlertSummary,
    Assigning,
    Closing,
    EntityCount,
    Incident,
    IncidentSummary,
    Moving,
    Noting,
    TimelineItem,
    Timer,
)
from lemnis.interfaces.api.models.people import (
    Account,
    Adding,
    Changing,
    ChangingPassword,
    Confirming,
    Invited,
    Linking,
    MakingToken,
    Me,
    NewToken,
    Passkey,
    PasskeyMade,
    PasskeyProven,
    Provider,
    Proving,
    Renaming,
    Second,
    SecondBegun,
    Session,
    SigningIn,
    Spare,
    Token,
    Welcoming,
)
from lemnis.interfaces.api.models.response import (
    Answering,
    Approved,
    Approving,
    Cancelling,
    Plan,
    Planning,
    Playbook,
    Question,
    Run,
)

__all__ = [
    "Account", "Acknowledging", "Adding", "Alert", "AlertSummary", "Answering", "Approved", "Approving",
    "Assigning", "Bar", "Cancelling", "Changed", "Changing", "ChangingPassword", "Closing", "Confirming",
    "EntityCount", "Event", "Finding", "Given", "Histogram", "Incident", "IncidentSummary", "Invited",
    "JournalEntry", "Lesson", "Linking", "MakingToken", "Me", "Moving", "NewToken", "Noting", "Passkey",
    "PasskeyMade", "PasskeyProven", "PersonName", "Plan", "Planning", "Playbook", "PriorityName", "Problem",
    "Provider", "Proving", "Question", "Reason", "Renaming", "Rule", "RuleDetail", "Run", "Searched",
    "Second", "SecondBegun", "Session", "SeverityName", "SigningIn", "Source", "Spare", "StatusName", "Text",
    "TimelineItem", "Timer", "Token", "Told", "VerdictName", "Welcoming",
]  # fmt: skip
