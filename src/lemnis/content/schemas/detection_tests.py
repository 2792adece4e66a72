"""``tests.yml`` beside a rule: samples that must and must not make it fire.

A sample is a file in the detection's folder, or lies in the case itself, so that many small ones are cheap::

    - {name: a scanner, source: web_combined, given: samples/fires.log, fires: true}
    - name: each of the tools
      source: web_combined
      fires: true
      matches: all          # or a number: so many of the records match
      records: |
        192.0.2.1 - - [24/Nov/2025:18:00:01 +0000] "GET / HTTP/1.1" 200 1 "-" "sqlmap"
        192.0.2.1 - - [24/Nov/2025:18:00:02 +0000] "GET / HTTP/1.1" 200 1 "-" "nikto"
    - name: another call
      source: aws_cloudtrail
      fires: false
      records:
        - {eventName: GetUser, eventSource: iam.amazonaws.com, eventTime: "2025-11-24T18:00:00Z"}
    - name: on a critical machine
      source: linux_syslog
      fires: true
      known: {assets: [{id: db, hostnames: [db1], criticality: critical}]}    # what events are enriched with
      records: "2026-04-15T10:00:00+00:00 db1 sshd[1]: Failed password for ana from 192.0.2.1 port 5 ssh2"
"""

from __future__ import annotations

from typing import Any, Literal, Self

import orjson
import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.reference import Known


class Case(Model):
    """One sample of a source, and whether the rule fires on it.

    ``given`` names a file of raw records in the detection's folder. ``records`` are the records themselves:
    a text as the file would have it, or a list of lines and of objects, which become lines of JSON.
    ``matches`` says how many records must match (``all`` of them, or a number) where one is not enough; of a
    rule with correlations, how many alerts there must be. What is ``known`` of assets, identities, networks
    goes to the events; raw records have nothing of it, so such a case is run on events only.
    """

    name: str = pydantic.Field(min_length=1)
    source: str = pydantic.Field(min_length=1)
    given: str = pydantic.Field(default="", pattern=r"^([\w-][\w./-]*)?$")
    records: str | tuple[str | dict[str, Any], ...] = ""
    fires: bool
    matches: pydantic.PositiveInt | Literal["all"] | None = None
    known: Known | None = None

    @pydantic.field_validator("given")
    @classmethod
    def _inside(cls, value: str) -> str:
        if ".." in value.split("/"):
            raise ValueError("a sample lies in the detection's own folder")
        return value

    @pydantic.model_validator(mode="after")
    def _one_sample(self) -> Self:
        if bool(self.given) == bool(self.inline.strip()):
            raise ValueError("a case has either `given` (a file) or `records`")
        if self.matches is not None and not self.fires:
            raise ValueError("`matches` is for cases that fire")
        return self

    @property
    def inline(self) -> str:
        """The records that lie in the case, as a file would have them; "" if the sample is a file."""
        if isinstance(self.records, str):
            return self.records
        return "".join(
            f"{one if isinstance(one, str) else orjson.dumps(one).decode()}\n" for one in self.records
        )


class Tests(pydantic.RootModel[tuple[Case, ...]]):
    """The whole file: at least one case."""

    root: tuple[Case, ...] = pydantic.Field(min_length=1)
