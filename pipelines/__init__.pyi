# The names of the front door and the module each lives in; `__init__.py` looks them up when they are asked for.

from .catalog import Catalog as Catalog
from .changes import Change as Change
from .channels import (
    Banned as Banned,
)
from .channels import (
    Channel as Channel,
)
from .channels import (
    DeliveryFault as DeliveryFault,
)
from .channels import (
    Forbidden as Forbidden,
)
from .channels import (
    Gone as Gone,
)
from .channels import (
    Rejected as Rejected,
)
from .channels import (
    Slow as Slow,
)
from .channels import (
    TooBig as TooBig,
)
from .channels import (
    Unauthorised as Unauthorised,
)
from .channels import (
    Unsure as Unsure,
)
from .channels import (
    Wait as Wait,
)
from .definition import PipelineDefinition as PipelineDefinition
from .delivery import Delivery as Delivery
from .engine import Engine as Engine
from .errors import (
    AlreadyAsked as AlreadyAsked,
)
from .errors import (
    BadParameter as BadParameter,
)
from .errors import (
    BadSchedule as BadSchedule,
)
from .errors import (
    ConfigError as ConfigError,
)
from .errors import (
    Denied as Denied,
)
from .errors import (
    InvalidTransition as InvalidTransition,
)
from .errors import (
    NotAllowed as NotAllowed,
)
from .errors import (
    PipecallError as PipecallError,
)
from .errors import (
    Problem as Problem,
)
from .errors import (
    RetryLater as RetryLater,
)
from .errors import (
    Skip as Skip,
)
from .errors import (
    StoreError as StoreError,
)
from .errors import (
    StoreLocked as StoreLocked,
)
from .errors import (
    UnknownName as UnknownName,
)
from .face_definition import AlertKind as AlertKind
from .finding import Finding as Finding
from .finding import Level as Level
from .health import Health as Health
from .health import Status as Status
from .live_run import LiveRun as LiveRun
from .loading import load_catalog as load_catalog
from .model import (
    Actor as Actor,
)
from .model import (
    Asked as Asked,
)
from .model import (
    Attempt as Attempt,
)
from .model import (
    AuditEntry as AuditEntry,
)
from .model import (
    Incident as Incident,
)
from .model import (
    Lease as Lease,
)
from .model import (
    LogLine as LogLine,
)
from .model import (
    Machines as Machines,
)
from .model import (
    MakeUp as MakeUp,
)
from .model import (
    Message as Message,
)
from .model import (
    Mute as Mute,
)
from .model import (
    Occurrence as Occurrence,
)
from .model import (
    OccurrenceOutcome as OccurrenceOutcome,
)
from .model import (
    PipelineStats as PipelineStats,
)
from .model import (
    Process as Process,
)
from .model import (
    ProcessRole as ProcessRole,
)
from .model import (
    ProcessState as ProcessState,
)
from .model import (
    Question as Question,
)
from .model import (
    Queue as Queue,
)
from .model import (
    Role as Role,
)
from .model import (
    Run as Run,
)
from .model import (
    RunError as RunError,
)
from .model import (
    RunState as RunState,
)
from .model import (
    ScheduleRow as ScheduleRow,
)
from .model import (
    ScheduleState as ScheduleState,
)
from .model import (
    StageCount as StageCount,
)
from .model import (
    StartedBy as StartedBy,
)
from .model import (
    Verb as Verb,
)
from .overview import JobView as JobView
from .overview import Overview as Overview
from .overview import PipelineView as PipelineView
from .parameters import Parameter as Parameter
from .parameters import check_for as check_for
from .parameters import parse_text as parse_text
from .phrases import (
    Understood as Understood,
)
from .phrases import (
    cautions as cautions,
)
from .phrases import (
    examples as examples,
)
from .phrases import (
    next_fires as next_fires,
)
from .phrases import (
    understand as understand,
)
from .pipeline import Pipeline as Pipeline
from .pipeline import PipelineOptions as PipelineOptions
from .pipeline import register_pipeline as register_pipeline
from .policy import Decision as Decision
from .policy import Policy as Policy
from .reads import Reads as Reads
from .redaction import Redactor as Redactor
from .registry import Registry as Registry
from .schedule import Schedule as Schedule
from .scheduler import PipelineScheduler as PipelineScheduler
from .settings import Settings as Settings
from .settings import read_settings as read_settings
from .store.cards import Card as Card
from .store.cards import CardEnd as CardEnd
from .store.cards import Cards as Cards
from .store.cards import Wish as Wish
from .store.deliveries import Parcel as Parcel
from .store.notes import Notes as Notes
from .store.outbox import Post as Post
from .store.progress import Progress as Progress
from .store.strips import Mark as Mark
from .store.tokens import Token as Token
from .tokens import Tokens as Tokens
from .transform import (
    Fetcher as Fetcher,
)
from .transform import (
    RunContext as RunContext,
)
from .transform import (
    Sink as Sink,
)
from .transform import (
    Transform as Transform,
)
from .transform import (
    current_run as current_run,
)
from .transforms.values import Placeholders as Placeholders
from .transforms.values import getter as getter
from .transforms.values import readable as readable
from .triggers import Trigger as Trigger
from .triggers import check_zone as check_zone
from .triggers.zones import zone_names as zone_names
from .verbs import Verbs as Verbs
from .wishes import JobOptions as JobOptions
from .wishes import ScheduleOptions as ScheduleOptions
