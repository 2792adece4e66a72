"""``lemnis.yaml``: a workspace's settings. Secrets are never in it: it names where they are to be read.

::

    name: billing
    builders:                       # who may sign what is deployed
      - id: https://builder.example/billing
        key: keys/builder.pub       # a PEM file in the workspace, or the PEM text itself
    sigstore:                       # who may sign without a key of ours; see ``signing``
      trusted_root: keys/trusted_root.json
      identities: [{issuer: "https://token.actions.githubusercontent.com", subject: "https://github.com/ORG/*"}]
    image_labels: {com.example.commit: revision}   # what labels of images repeat, beside those of OCI
    repositories:                   # where the source code of workloads lies
      - name: billing
        url: https://git.example/billing.git
        path: ../billing            # relative to the workspace
    connections:                    # what actions and collectors talk to
      cluster: {url: "https://10.0.0.1:6443", token_env: CLUSTER_TOKEN, ca: keys/cluster-ca.pem}
      cloud: {url: "https://iam.amazonaws.com", access_key_env: AWS_ACCESS_KEY_ID, ...}
    dead_letters: {days: 30, megabytes: 256}    # how long, and how many, rejected records are kept
    minutes_per_alert: 6            # of an analyst's time, for `rules noise`; 10 unless given
    transports:                     # what `serve` listens on and pulls from, by a name of your choice
      shippers: {kind: http, port: 8080, tokens: [{name: web, token_env: SHIPPER_TOKEN}]}
    admin: {host: 127.0.0.1, port: 9470}   # where `serve` tells of its health and metrics
    console: {host: 127.0.0.1, port: 8687} # `serve` gives the console and its API too; see ``console``
    inbox: {megabytes: 2048}        # how much may wait to be worked on before senders are told to come later
    retention: {...}                # how long which events are kept, and why; see ``keeping``
    lake: {history_days: 7}         # how the lake's files are kept; see ``keeping``
    search: {index: true}           # keep the index of texts; see ``keeping``
    incidents: {review: require}    # a true positive is closed with a review only; `ask` unless given
    enrichment: {names: true}       # learn the names of addresses from DNS and DHCP events
    roles: {responder: [ana, ben], lead: [cleo]}   # who may approve and answer what playbooks ask
    playbooks: {start: [contain_compromised_workload]}   # which begin by themselves in `serve`
    workers: 2                      # processes that work on what came; by default as many as cores, 4 at most
    cluster:                        # what `lemnis worker` shares with others, see docs/scale.md
      nats: ["tls://n1.example:4222", "tls://n2.example:4222", "tls://n3.example:4222"]
      credentials: keys/lemnis.creds
      lake: s3://BUCKET/lake        # AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are in the environment
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.console import Console
from lemnis.content.schemas.keeping import Keeping, Retention, Searching
from lemnis.content.schemas.signing import LabelFact, Sigstore

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Variable = Annotated[str, pydantic.Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,127})?$")]
Url = Annotated[str, pydantic.Field(pattern=r"^https?://[^\s/]+")]
Target = Annotated[str, pydantic.Field(pattern=r"^(https?|smtps?|host)://[^\s/]+")]


class Builder(Model):
    """A builder whose attestations are believed: its id as provenance names it, and its public key.

    With ``repositories`` it may build from those alone; with ``parameters`` it must have been asked for just
    these, beside the source.
    """

    id: str = pydantic.Field(min_length=1)
    key: str = pydantic.Field(min_length=1)
    repositories: tuple[str, ...] = ()
    parameters: dict[str, str] = pydantic.Field(default_factory=dict)


class OAuth(Model):
    """Client credentials (RFC 6749, 4.4): where a token is asked for, as whom, and for what."""

    url: Url
    client_id: str = pydantic.Field(min_length=1)
    secret_env: Variable = pydantic.Field(min_length=1)
    scope: str = ""


class GithubAppLogin(Model):
    """A GitHub App: its id, the file of its private key, and its installation; without one it is the app."""

    id: str = pydantic.Field(min_length=1)
    key_file: str = pydantic.Field(min_length=1)
    installation: str = ""


class Connection(Model):
    """An address that actions call, and where its credentials are: names of variables, or files.

    A token comes from ``token_env`` or ``token_file`` and goes out after ``scheme``; it is fetched where
    there is ``oauth`` or ``github_app``. ``user`` and ``password_env`` are HTTP's basic authentication, or
    SMTP's. Signed AWS requests come from ``access_key_env``, ``secret_key_env``, ``session_token_env`` and
    ``region``. ``signing_key_env`` signs bodies (Standard Webhooks). ``path_env`` is for addresses whose
    path is a secret, as those of workflows are. ``headers`` are no secrets. ``ca`` is a
    PEM file that the server's certificate must lead to; paths are relative to the workspace. ``concurrency``
    calls at once and ``rate_per_min`` are what all processes of the workspace keep to together, 0 is no
    limit.

    ``smtp://`` is a mail server, that TLS is begun with unless ``plain`` says otherwise; ``host://NAME`` is
    a host whose agent (``lemnis.respond.host_agent``) is started by ``command`` for each request.
    """

    url: Target
    token_env: Variable = ""
    token_file: str = ""
    scheme: str = "Bearer"
    oauth: OAuth | None = None
    github_app: GithubAppLogin | None = None
    user: str = ""
    password_env: Variable = ""
    signing_key_env: Variable = ""
    path_env: Variable = ""
    headers: dict[str, str] = pydantic.Field(default_factory=dict)
    plain: bool = False
    command: tuple[str, ...] = ()
    ca: str = ""
    access_key_env: Variable = ""
    secret_key_env: Variable = ""
    session_token_env: Variable = ""
    region: str = ""
    timeout_s: float = pydantic.Field(default=10, gt=0, le=600)
    concurrency: int = pydantic.Field(default=0, ge=0, le=1000)
    rate_per_min: int = pydantic.Field(default=0, ge=0, le=100_000)

    @pydantic.model_validator(mode="after")
    def _one_login(self) -> Self:
        ways = {
            "token": self.token_env or self.token_file, "oauth": self.oauth, "github_app": self.github_app,
            "user": self.user, "access_key_env": self.access_key_env,
        }  # fmt: skip
        chosen = [name for name, way in ways.items() if way]
        if len(chosen) > 1:
            raise ValueError(f"a connection has one login; this has {', '.join(chosen)}")
        if bool(self.user) != bool(self.password_env):
            raise ValueError("`user` and `password_env` belong together")
        if self.plain and self.user:
            raise ValueError("`plain` would send the password for everyone to read")
        if self.url.startswith("host://") != bool(self.command):
            raise ValueError("`command` belongs to a host:// connection, and each of those needs one")
        return self


class Webhooks(Model):
    """Where `serve` takes what begins playbooks: POST /playbooks/NAME, signed, or with a bearer token.

    ``signature`` says how: by Standard Webhooks, or as GitHub or Slack do, with the secret of ``secret_env``.
    """

    host: str = "127.0.0.1"
    port: int = pydantic.Field(default=9471, ge=0, le=65_535)
    token_env: Variable = ""
    secret_env: Variable = ""
    signature: Literal["standard", "github", "slack"] = "standard"

    @pydantic.model_validator(mode="after")
    def _from_somebody(self) -> Self:
        if not (self.secret_env or self.token_env):
            raise ValueError("give `secret_env` (or `token_env`, which proves less)")
        return self


class Notify(Model):
    """The action by which people are told that they are waited for, or were; places as ``{text}``."""

    action: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_-]*\.[a-z][a-z0-9_]*$")
    inputs: dict[str, Any] = pydantic.Field(default_factory=dict, alias="with")


class Automation(Model):
    """Playbooks that `serve` begins by itself when their triggers say so, and how many runs go on at once.

    ``notify`` tells people of approvals and questions that wait for them; its inputs may use ``{text}``,
    ``{role}``, ``{moment}`` (``escalated``, ``near``, ``over``), ``{run}`` and ``{incident.id}``.
    """

    start: tuple[Name, ...] = ()
    workers: int = pydantic.Field(default=8, ge=1, le=64)
    webhooks: Webhooks | None = None
    notify: Notify | None = None


class SourceRepository(Model):
    """Where the source code of workloads lies: its name, the address provenance gives, and the folder."""

    name: Name
    path: str = pydantic.Field(min_length=1)
    url: str = ""


class Admin(Model):
    """Where `serve` answers /healthz, /readyz and /metrics; port 0 takes a free one, ``on: false`` none."""

    host: str = "127.0.0.1"
    port: int = pydantic.Field(default=9470, ge=0, le=65_535)
    on: bool = True


class Waiting(Model):
    """How much of what was received may wait; of that, one source may have three quarters."""

    megabytes: float = pydantic.Field(default=2048, ge=16, le=10_000_000)


class Gates(Model):
    """What gates go by: ``scanners`` take part beside those that always do, by the names in content.

    Always do the programs of part ``always``, the checks of manifests, pipelines, infrastructure and images,
    and known vulnerabilities. Until advisories were pulled nobody can look for these: ``advisories: block``
    leaves the answer ``unknown`` then, ``waive`` lets it pass and names that among the exceptions.
    """

    scanners: tuple[Name, ...] = ()
    advisories: Literal["block", "waive"] = "block"


class Reviewing(Model):
    """Whether a true positive that is closed without a review is told (``ask``) or refused (``require``)."""

    review: Literal["ask", "require"] = "ask"


class Enrichment(Model):
    """What is learnt from events, to be added to others: ``names`` of addresses, from DNS and DHCP."""

    names: bool = False


class DeadLetters(Model):
    """How long rejected records are kept, which are raw, and how much of them over all sources."""

    days: float = pydantic.Field(default=30, gt=0, le=3650)
    megabytes: float = pydantic.Field(default=256, gt=0, le=100_000)


class Cluster(Model):
    """Where workers of a cluster find NATS JetStream and the lake, and how they share the work.

    The journal's PostgreSQL is at LEMNIS_DATABASE_URL. Credentials of NATS are as for the transport `nats`;
    those of the lake's storage are in the variables named here, and the CA of its ``endpoint``, where that is
    not a known one, is in the file ``lake_ca``. ``name`` begins the names of all streams, so
    that several clusters can share servers. What is received goes to one of ``partitions``, each of which may
    hold ``megabytes`` and is worked on by one worker at a time, which commits to the lake when it has
    ``commit_rows`` events or after ``commit_s`` seconds. Redeliveries are known for ``claims_days``.
    """

    name: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "lemnis"
    nats: tuple[str, ...] = pydantic.Field(min_length=1)
    credentials: str = ""
    token_env: Variable = ""
    user: str = ""
    password_env: Variable = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    replicas: int = pydantic.Field(default=3, ge=1, le=5)
    partitions: int = pydantic.Field(default=8, ge=1, le=1024)
    megabytes: float = pydantic.Field(default=4096, ge=16, le=10_000_000)
    lake: Annotated[str, pydantic.Field(pattern=r"^s3://[A-Za-z0-9][A-Za-z0-9.-]{1,62}(/[^\s?#]*)?$")]
    endpoint: Annotated[str, pydantic.Field(pattern=r"^(https?://[^\s/]+)?$")] = ""
    lake_ca: str = ""
    region: str = ""
    access_key_env: Variable = "AWS_ACCESS_KEY_ID"
    secret_key_env: Variable = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a name
    session_token_env: Variable = "AWS_SESSION_TOKEN"  # noqa: S105 - a name
    commit_s: float = pydantic.Field(default=5, ge=0.1, le=3600)
    commit_rows: int = pydantic.Field(default=200_000, ge=1000, le=10_000_000)
    claims_days: int = pydantic.Field(default=30, ge=1, le=3650)


class Settings(Model):
    """The whole file. What stands under a transport's name is its ``kind`` and the settings of that kind."""

    name: str = pydantic.Field(min_length=1)
    builders: tuple[Builder, ...] = ()
    sigstore: Sigstore | None = None
    image_labels: dict[str, LabelFact] = pydantic.Field(default_factory=dict)
    repositories: tuple[SourceRepository, ...] = ()
    connections: dict[Name, Connection] = pydantic.Field(default_factory=dict)
    dead_letters: DeadLetters = pydantic.Field(default_factory=DeadLetters)
    minutes_per_alert: float | None = pydantic.Field(default=None, gt=0, le=1440)
    transports: dict[Name, dict[str, Any]] = pydantic.Field(default_factory=dict)
    admin: Admin = Admin()
    console: Console | None = None
    inbox: Waiting = Waiting()
    retention: Retention = Retention()
    lake: Keeping = Keeping()
    search: Searching = Searching()
    enrichment: Enrichment = Enrichment()
    gates: Gates = Gates()
    incidents: Reviewing = Reviewing()
    roles: dict[Name, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    playbooks: Automation = Automation()
    workers: int | None = pydantic.Field(default=None, ge=1, le=64)
    cluster: Cluster | None = None

    def repository(self, wanted: str) -> SourceRepository | None:
        """Return the repository of this name or address, if there is one."""
        return next((one for one in self.repositories if wanted and wanted in {one.name, one.url}), None)
