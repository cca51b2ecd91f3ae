from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_PENDING: _ClassVar[State]
    STATE_SCHEDULED: _ClassVar[State]
    STATE_RUNNING: _ClassVar[State]
    STATE_COMPLETED: _ClassVar[State]
    STATE_FAILED: _ClassVar[State]

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    FORMAT_YAML: _ClassVar[Format]
    FORMAT_JSON: _ClassVar[Format]
    FORMAT_TOML: _ClassVar[Format]
STATE_UNSPECIFIED: State
STATE_PENDING: State
STATE_SCHEDULED: State
STATE_RUNNING: State
STATE_COMPLETED: State
STATE_FAILED: State
FORMAT_UNSPECIFIED: Format
FORMAT_YAML: Format
FORMAT_JSON: Format
FORMAT_TOML: Format

class Task(_message.Message):
    __slots__ = ("name", "uid", "state", "desired", "attempt", "reason", "message", "exit_code", "created_at_ns", "started_at_ns", "finished_at_ns", "next_try_at_ns", "sandbox_id", "container_id", "spec_json", "image", "labels", "ready")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_AT_NS_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: str
    state: State
    desired: State
    attempt: int
    reason: str
    message: str
    exit_code: int
    created_at_ns: int
    started_at_ns: int
    finished_at_ns: int
    next_try_at_ns: int
    sandbox_id: str
    container_id: str
    spec_json: str
    image: str
    labels: _containers.ScalarMap[str, str]
    ready: bool
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., desired: _Optional[_Union[State, str]] = ..., attempt: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., exit_code: _Optional[int] = ..., created_at_ns: _Optional[int] = ..., started_at_ns: _Optional[int] = ..., finished_at_ns: _Optional[int] = ..., next_try_at_ns: _Optional[int] = ..., sandbox_id: _Optional[str] = ..., container_id: _Optional[str] = ..., spec_json: _Optional[str] = ..., image: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., ready: _Optional[bool] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "time_ns", "task", "uid", "kind", "from_state", "to_state", "cause", "actor", "reason", "message", "attempt", "exit_code")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Event.Kind]
        KIND_TRANSITION: _ClassVar[Event.Kind]
        KIND_REJECTED: _ClassVar[Event.Kind]
        KIND_NOTE: _ClassVar[Event.Kind]
        KIND_FORGOTTEN: _ClassVar[Event.Kind]
    KIND_UNSPECIFIED: Event.Kind
    KIND_TRANSITION: Event.Kind
    KIND_REJECTED: Event.Kind
    KIND_NOTE: Event.Kind
    KIND_FORGOTTEN: Event.Kind
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FROM_STATE_FIELD_NUMBER: _ClassVar[int]
    TO_STATE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time_ns: int
    task: str
    uid: str
    kind: Event.Kind
    from_state: State
    to_state: State
    cause: str
    actor: str
    reason: str
    message: str
    attempt: int
    exit_code: int
    def __init__(self, sequence: _Optional[int] = ..., time_ns: _Optional[int] = ..., task: _Optional[str] = ..., uid: _Optional[str] = ..., kind: _Optional[_Union[Event.Kind, str]] = ..., from_state: _Optional[_Union[State, str]] = ..., to_state: _Optional[_Union[State, str]] = ..., cause: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., attempt: _Optional[int] = ..., exit_code: _Optional[int] = ...) -> None: ...

class Selector(_message.Message):
    __slots__ = ("names", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("manifest", "format", "source", "directory", "actor", "prune", "dry_run", "lenient")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    PRUNE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    LENIENT_FIELD_NUMBER: _ClassVar[int]
    manifest: str
    format: Format
    source: str
    directory: str
    actor: str
    prune: bool
    dry_run: bool
    lenient: bool
    def __init__(self, manifest: _Optional[str] = ..., format: _Optional[_Union[Format, str]] = ..., source: _Optional[str] = ..., directory: _Optional[str] = ..., actor: _Optional[str] = ..., prune: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., lenient: _Optional[bool] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("results", "warnings")
    class Change(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CHANGE_UNSPECIFIED: _ClassVar[SubmitResponse.Change]
        CHANGE_CREATED: _ClassVar[SubmitResponse.Change]
        CHANGE_CHANGED: _ClassVar[SubmitResponse.Change]
        CHANGE_UNCHANGED: _ClassVar[SubmitResponse.Change]
        CHANGE_REMOVED: _ClassVar[SubmitResponse.Change]
        CHANGE_REJECTED: _ClassVar[SubmitResponse.Change]
    CHANGE_UNSPECIFIED: SubmitResponse.Change
    CHANGE_CREATED: SubmitResponse.Change
    CHANGE_CHANGED: SubmitResponse.Change
    CHANGE_UNCHANGED: SubmitResponse.Change
    CHANGE_REMOVED: SubmitResponse.Change
    CHANGE_REJECTED: SubmitResponse.Change
    class Result(_message.Message):
        __slots__ = ("name", "change", "message", "differences")
        NAME_FIELD_NUMBER: _ClassVar[int]
        CHANGE_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
        name: str
        change: SubmitResponse.Change
        message: str
        differences: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, name: _Optional[str] = ..., change: _Optional[_Union[SubmitResponse.Change, str]] = ..., message: _Optional[str] = ..., differences: _Optional[_Iterable[str]] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResponse.Result]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResponse.Result, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ScaleRequest(_message.Message):
    __slots__ = ("name", "replicas", "actor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    replicas: int
    actor: str
    def __init__(self, name: _Optional[str] = ..., replicas: _Optional[int] = ..., actor: _Optional[str] = ...) -> None: ...

class ScaleResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResponse.Result]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResponse.Result, _Mapping]]] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("name", "revision", "actor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    actor: str
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ..., actor: _Optional[str] = ...) -> None: ...

class RollbackResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResponse.Result]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResponse.Result, _Mapping]]] = ...) -> None: ...

class ListDeclarationsRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class ListDeclarationsResponse(_message.Message):
    __slots__ = ("declarations", "sequence")
    DECLARATIONS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    declarations: _containers.RepeatedCompositeFieldContainer[Declaration]
    sequence: int
    def __init__(self, declarations: _Optional[_Iterable[_Union[Declaration, _Mapping]]] = ..., sequence: _Optional[int] = ...) -> None: ...

class Declaration(_message.Message):
    __slots__ = ("name", "source", "progress", "message", "revisions", "wanted", "updated", "arrived")
    class Progress(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PROGRESS_UNSPECIFIED: _ClassVar[Declaration.Progress]
        PROGRESS_PROGRESSING: _ClassVar[Declaration.Progress]
        PROGRESS_COMPLETE: _ClassVar[Declaration.Progress]
        PROGRESS_FAILED: _ClassVar[Declaration.Progress]
        PROGRESS_ROLLED_BACK: _ClassVar[Declaration.Progress]
    PROGRESS_UNSPECIFIED: Declaration.Progress
    PROGRESS_PROGRESSING: Declaration.Progress
    PROGRESS_COMPLETE: Declaration.Progress
    PROGRESS_FAILED: Declaration.Progress
    PROGRESS_ROLLED_BACK: Declaration.Progress
    class Revision(_message.Message):
        __slots__ = ("number", "declared_at_ns", "actor", "cause", "image", "spec_json")
        NUMBER_FIELD_NUMBER: _ClassVar[int]
        DECLARED_AT_NS_FIELD_NUMBER: _ClassVar[int]
        ACTOR_FIELD_NUMBER: _ClassVar[int]
        CAUSE_FIELD_NUMBER: _ClassVar[int]
        IMAGE_FIELD_NUMBER: _ClassVar[int]
        SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
        number: int
        declared_at_ns: int
        actor: str
        cause: str
        image: str
        spec_json: str
        def __init__(self, number: _Optional[int] = ..., declared_at_ns: _Optional[int] = ..., actor: _Optional[str] = ..., cause: _Optional[str] = ..., image: _Optional[str] = ..., spec_json: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    ARRIVED_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    progress: Declaration.Progress
    message: str
    revisions: _containers.RepeatedCompositeFieldContainer[Declaration.Revision]
    wanted: int
    updated: int
    arrived: int
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ..., progress: _Optional[_Union[Declaration.Progress, str]] = ..., message: _Optional[str] = ..., revisions: _Optional[_Iterable[_Union[Declaration.Revision, _Mapping]]] = ..., wanted: _Optional[int] = ..., updated: _Optional[int] = ..., arrived: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("selector", "states")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    states: _containers.RepeatedScalarFieldContainer[State]
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., states: _Optional[_Iterable[_Union[State, str]]] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("tasks", "sequence")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    sequence: int
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., sequence: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("after", "task", "follow")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    after: int
    task: str
    follow: bool
    def __init__(self, after: _Optional[int] = ..., task: _Optional[str] = ..., follow: _Optional[bool] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: Event
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("selector", "all", "wait")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    all: bool
    wait: bool
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., all: _Optional[bool] = ..., wait: _Optional[bool] = ...) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class RestartRequest(_message.Message):
    __slots__ = ("selector", "all")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    all: bool
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., all: _Optional[bool] = ...) -> None: ...

class RestartResponse(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("selector", "all", "wait")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    all: bool
    wait: bool
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., all: _Optional[bool] = ..., wait: _Optional[bool] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("name", "follow", "tail", "since_ns", "container")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    name: str
    follow: bool
    tail: int
    since_ns: int
    container: str
    def __init__(self, name: _Optional[str] = ..., follow: _Optional[bool] = ..., tail: _Optional[int] = ..., since_ns: _Optional[int] = ..., container: _Optional[str] = ...) -> None: ...

class LogsResponse(_message.Message):
    __slots__ = ("time_ns", "stream", "line", "partial")
    class Stream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STREAM_UNSPECIFIED: _ClassVar[LogsResponse.Stream]
        STREAM_STDOUT: _ClassVar[LogsResponse.Stream]
        STREAM_STDERR: _ClassVar[LogsResponse.Stream]
    STREAM_UNSPECIFIED: LogsResponse.Stream
    STREAM_STDOUT: LogsResponse.Stream
    STREAM_STDERR: LogsResponse.Stream
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    time_ns: int
    stream: LogsResponse.Stream
    line: bytes
    partial: bool
    def __init__(self, time_ns: _Optional[int] = ..., stream: _Optional[_Union[LogsResponse.Stream, str]] = ..., line: _Optional[bytes] = ..., partial: _Optional[bool] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("task", "why", "events", "addresses")
    TASK_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    task: Task
    why: str
    events: _containers.RepeatedCompositeFieldContainer[Event]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., why: _Optional[str] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("selector", "format")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    format: Format
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., format: _Optional[_Union[Format, str]] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("manifest",)
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    manifest: str
    def __init__(self, manifest: _Optional[str] = ...) -> None: ...

class ExecRequest(_message.Message):
    __slots__ = ("name", "command", "tty", "stdin", "stdout", "stderr", "container")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    name: str
    command: _containers.RepeatedScalarFieldContainer[str]
    tty: bool
    stdin: bool
    stdout: bool
    stderr: bool
    container: str
    def __init__(self, name: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., tty: _Optional[bool] = ..., stdin: _Optional[bool] = ..., stdout: _Optional[bool] = ..., stderr: _Optional[bool] = ..., container: _Optional[str] = ...) -> None: ...

class ExecResponse(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class ReapOrphansRequest(_message.Message):
    __slots__ = ("dry_run", "wait", "actor")
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    wait: bool
    actor: str
    def __init__(self, dry_run: _Optional[bool] = ..., wait: _Optional[bool] = ..., actor: _Optional[str] = ...) -> None: ...

class ReapOrphansResponse(_message.Message):
    __slots__ = ("orphans",)
    ORPHANS_FIELD_NUMBER: _ClassVar[int]
    orphans: _containers.RepeatedCompositeFieldContainer[Orphan]
    def __init__(self, orphans: _Optional[_Iterable[_Union[Orphan, _Mapping]]] = ...) -> None: ...

class Orphan(_message.Message):
    __slots__ = ("task", "sandboxes", "containers", "running", "reap_at_ns")
    TASK_FIELD_NUMBER: _ClassVar[int]
    SANDBOXES_FIELD_NUMBER: _ClassVar[int]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    REAP_AT_NS_FIELD_NUMBER: _ClassVar[int]
    task: str
    sandboxes: int
    containers: int
    running: int
    reap_at_ns: int
    def __init__(self, task: _Optional[str] = ..., sandboxes: _Optional[int] = ..., containers: _Optional[int] = ..., running: _Optional[int] = ..., reap_at_ns: _Optional[int] = ...) -> None: ...

class InfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InfoResponse(_message.Message):
    __slots__ = ("version", "instance", "runtime_name", "runtime_version", "pid")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_NAME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    version: str
    instance: str
    runtime_name: str
    runtime_version: str
    pid: int
    def __init__(self, version: _Optional[str] = ..., instance: _Optional[str] = ..., runtime_name: _Optional[str] = ..., runtime_version: _Optional[str] = ..., pid: _Optional[int] = ...) -> None: ...
