"""Every way in which a run can fail at each of its steps, tested from one run.

As a step begins, the process is copied (fork), once for each way to fail. The copy has the world
and what the run remembers of it; the copy fails, is judged, and ends. The process itself goes on to
the next step. So no run begins anew to be broken at a later step.

If a copy begins a step in a world in which an earlier run began it, with the same steps before it,
and that run came to its end, the copy ends, too: what follows has been seen.
"""

from __future__ import annotations

import gc
import os
import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from fakes.edge import Call, Killed
from fakes.likeness import likeness
from fakes.runs import Run, Seen
from fakes.world import World
from kubectl_selfhost.cluster.errors import Unreachable
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.daemonset.in_secrets import is_in_secrets
from kubectl_selfhost.controlplane.daemonset.stored import named_in
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.flags import of_container
from kubectl_selfhost.engine.lease_errors import LeaseLost
from kubectl_selfhost.engine.runner import Stopped
from kubectl_selfhost.engine.step import Step
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import CREDENTIALS_LABEL, JOURNAL, QUESTION

#: After so many seconds every dead man's switch has done its work.
SETTLED = 150.0
#: Seconds; a dead man's switch stops the new API server before the old one comes back.
ONE_START = 5.0
#: Seconds: longer than a run is patient with the journal, and then with the step itself.
OUTAGE = 150.0
HOW = ("refused", "timeout", "503", "cut")


@dataclass
class Lease:
    """A stand-in for the Lease's check; ``lost``: somebody else has the Lease."""

    world: World
    lost: bool = False
    changed: list[Call] = field(default_factory=list)

    def __call__(self) -> None:
        if self.lost:
            raise LeaseLost("bob@desk")

    def lose(self) -> None:
        if not self.lost:
            self.lost, self.changed = True, list(self.world.changed)


def _nothing(_: Trial) -> None: ...


def _do(_: Trial, step: Step) -> None:
    step.do()


def _at_each(*_: object) -> bool:
    return True


def _none(*_: object) -> Sequence[Way]:
    return ()


#: The worlds, with the steps that are still to be done, from which a run has come to its end, by what
#: was typed. Whoever tests the same verb need not see these runs again.
_known: dict[str, set[int]] = {}


@dataclass(frozen=True)
class Way:
    """A way to fail: what happens as the step begins, and what is done instead of the step.

    ``raises``: the run ends with one of these (None: it comes to its end). ``undone``: the run
    takes back what it began, so nothing waits for a dead man's switch. ``passes``: nobody notices
    anything. ``at_once``: the next run begins before any dead man's switch has done its work.
    """

    name: str
    begin: Callable[[Trial], None] = _nothing
    instead: Callable[[Trial, Step], None] = _do
    raises: tuple[type[BaseException] | None, ...] = (SelfhostError,)
    undone: bool = True
    passes: bool = False
    at_once: bool = False


@dataclass
class Along(Seen):
    """An observer that keeps the worlds in which the steps begin; ``come`` is called with each."""

    world: World = None  # type: ignore[assignment]
    come: Callable[[int], None] = lambda _: None
    course: set[int] = field(default_factory=set)

    def settled(self) -> None:
        self._comes(hash(("settled", likeness(self.world))))

    def step_started(self, number: int, name: str, title: str) -> None:
        super().step_started(number, name, title)
        self._comes(whence(self, self.world, number))

    def _comes(self, here: int) -> None:
        self.come(here)
        self.course.add(here)


def whence(seen: Seen, world: World, number: int) -> int:
    """Return a number for the world, and the steps of the plan that are still to be done."""
    return hash((likeness(world), *seen.planned[number - 1 :]))


@dataclass
class Trial(Seen):
    """The observer of a run that is broken, in this process or in a copy of it."""

    world: World = None  # type: ignore[assignment]
    verb: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    #: The ways to fail as a step begins, by the step's name and number.
    ways: Callable[[str, int], Sequence[Way]] = _none
    #: The ways to be killed after a change, by the step's name and number and the change's number.
    kills: Callable[[str, int, int], Sequence[Way]] = _none
    #: The steps at which a run may fail, by the name and by those of the whole plan.
    meant: Callable[[str, list[str]], bool] = _at_each
    #: Whether a component was between two instances already as the run began.
    mid_air: bool = False
    #: For how many seconds nobody may answer, beside what a dead man's switch costs.
    silence: float = 0.0
    way: Way | None = None
    step: str = ""
    #: The changes that the step has made, each kind once: after one more of the same kind a kill finds
    #: nothing new.
    changes: list[str] = field(default_factory=list)
    pipe: int = 0
    #: The steps and the names of the ways of the broken runs, and how often another run followed.
    met: list[tuple[str, str]] = field(default_factory=list)
    resumed: int = 0
    #: What this copy has added to what is known.
    learned: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lease = Lease(self.world)
        self.known = _known.setdefault(f"{self.verb} {self.options}", set())
        self.certificates = [dict(node.credentials.files) for node in self.world.nodes]
        self.run = self._new_run(self.world, self)

    def _learn(self, seen: set[int]) -> None:
        self.known |= seen
        self.learned |= seen

    def _new_run(self, world: World, seen: Seen) -> Run:
        return Run(world, self.verb, dict(self.options), seen=seen, settle=True)

    def explore(self) -> Trial:
        """Run the verb to its end, and from each step on in each way that it may fail."""
        self._find_course()
        self.run.step = self._changed
        self.run.still_ours = self.lease
        error: BaseException | None = None
        self.world.watchers.append(self._note)
        try:
            self.run()
        except BaseException as raised:
            error = raised
        if self.way is not None:
            self._end(error)
        if error is not None:
            raise error
        assert self.met
        assert not self.problems, "\n\n".join([f"{len(self.problems)} problems", *self.problems])
        return self

    def _find_course(self) -> None:
        """Run the verb in a copy of this world."""
        along = Along(world=self.world.copy())
        self._new_run(along.world, along)()
        self.world.install()
        self.known |= along.course

    # ---- where it is broken ----

    def step_started(self, number: int, name: str, title: str) -> None:
        super().step_started(number, name, title)
        if self.way is not None:
            if self.way.passes and whence(self, self.world, number) in self.known:
                self._tell("")
        elif self.meant(name, self.planned):
            self.step, self.changes = name, []
            for way in self.ways(name, len(self.steps)):
                if self._branch(way):
                    self.way.begin(self)  # type: ignore[union-attr]
                    return
        else:
            self.step = ""

    def _note(self, call: Call) -> None:
        """Note each change: a run that is killed before a change is a run killed after the change
        before.
        """
        if self.way is not None or not self.step or call.path.endswith(f"/{JOURNAL}"):
            return
        kind = call.order or f"{call.method} {call.path}"
        if kind in self.changes:
            return
        self.changes.append(kind)
        for way in self.kills(self.step, len(self.steps), len(self.changes) - 1):
            if self._branch(way):
                self.step += f", after {call}"
                self.run.edge.killed = True  # type: ignore[union-attr]
                raise Killed

    def _changed(self, number: int, step: Step) -> Step:
        def do() -> None:
            if self.way is not None and step.name == self.step:
                self.way.instead(self, step)
            else:
                step.do()

        def done() -> bool:
            broken = self.way is not None and step.name == self.step
            return step.done() and not (broken and self.way.instead is not _do)  # type: ignore[union-attr]

        return replace(step, do=do, done=done)

    def _branch(self, way: Way) -> bool:
        """Copy this process; return True in the copy. In the original, wait for the copy's verdict."""
        read, write = os.pipe()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            gc.disable()
            os.close(read)
            self.pipe, self.way, self.resumed, self.learned = write, way, 0, set()
            return True
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            told = pipe.read()
        os.waitpid(pid, 0)
        self.met.append((self.step, way.name))
        problem, learned, resumed = pickle.loads(told) if told else ("it told nothing", set(), 0)
        self.known |= learned
        self.resumed += resumed
        if problem:
            self.problems.append(f"{self.verb}, {self.step}: {way.name}:\n{problem}")
        return False

    def _tell(self, problem: str) -> NoReturn:
        with os.fdopen(self.pipe, "wb") as pipe:
            pickle.dump((problem, self.learned, self.resumed), pipe)
        os._exit(0)

    # ---- how it is judged ----

    def _end(self, error: BaseException | None) -> NoReturn:
        try:
            self._judge(error)
        except BaseException as problem:
            trace = "".join(traceback.format_exception(problem)[-6:])
            ended = "".join(traceback.format_exception(error)[-4:]) if error else "well"
            self._tell(f"{self.step}: {trace}\nthe run ended: {ended}")
        self._tell("")

    def _judge(self, error: BaseException | None) -> None:
        way, world = self.way, self.world
        assert way is not None
        kind = next((one for one in way.raises if one and isinstance(error, one)), None)
        assert kind is not None or (error is None and None in way.raises), repr(error)
        if isinstance(error, SelfhostError):
            is_plain(error)
        if isinstance(error, LeaseLost):
            assert world.changed == self.lease.changed
        world.faults.clear()
        world.watchers.clear()
        undone = way.undone and error is not None and not self.mid_air
        if undone:
            assert world.unserved(alone=self.verb != "revert") == []
            if self.verb == "upgrade":
                assert len({tag for tag, _ in versions(world)}) == 1
        if way.at_once:
            if len(self.changes) <= 2:
                self._dry_run()
            self._again(hash(("at once", likeness(world))))
            return
        world.pass_time(SETTLED)
        # Where there are several nodes, a revert leaves both side by side until the node's label goes.
        alone = error is None or (undone and self.verb != "revert")
        assert world.unserved(alone=alone) == []
        if undone and self.verb == "pivot":
            leaves_nothing(world)
        if undone:
            assert [node.credentials.files for node in world.nodes] == self.certificates
        assert world.silent_api <= self.silence + (0.0 if undone else ONE_START)
        self._again(hash(("rested", likeness(world))))

    def _dry_run(self) -> None:
        world = self.world
        before = len(world.changed)
        try:
            replace(self._new_run(world, Seen()), edge=world.client("a dry run")).rehearse()
        except SelfhostError as error:
            self._may_wait(error)
        assert [one for one in world.changed[before:] if not _asks(one)] == []

    def _may_wait(self, error: SelfhostError) -> None:
        """Raise the error, unless the DaemonSet controller is still at it, or the plan says that
        nobody answers for a while.
        """
        if not (self.silence and isinstance(error, Unreachable)):
            _says_to_wait(error)

    def _again(self, known: int) -> None:
        """Check that the next run of the same verb does what this one should have done, and leaves
        nothing.
        """
        world = self.world
        assert world.empty_service == 0
        nothing_is_lost(world, self.verb)
        if known in self.known:
            return
        self.resumed += 1

        def come(here: int) -> None:
            """End this copy if the rest of its run has been seen."""
            if here in self.known:
                self._learn({known, *again.course})
                self._tell("")

        again = Along(world=world, come=come)
        next_run = replace(self._new_run(world, again), edge=world.client("the next run"))
        try:
            next_run()
        except SelfhostError as error:
            self._may_wait(error)
            world.pass_time(SETTLED)
            next_run()
        world.pass_time(SETTLED)
        came_to_its_end(world, self.verb, silence=self.silence)
        self._learn({known, *again.course})


def _asks(call: Call) -> bool:
    """Return whether a change is only a pod that asks an image, before an upgrade."""
    name = ((call.body or {}).get("metadata") or {}).get("name", "")
    return QUESTION in f"{name} {call.path}"


def came_to_its_end(world: World, verb: str, *, silence: float = 0.0) -> None:
    """Check that one instance of the right kind serves each component, and no agent is left."""
    assert world.unserved() == []
    assert world.empty_service == 0
    assert world.silent_api <= silence + ONE_START
    kind = "static" if verb == "revert" else "daemonset"
    assert {world.served_by(c, node) for node in world.nodes for c in COMPONENTS} == {kind}
    left = [one for one in world.ours() if one.startswith(_TAKEN_AWAY)]
    assert left == [], left
    nothing_is_lost(world, verb)
    if verb == "revert":
        assert world.ours() == [], world.ours()
    if verb == "upgrade":
        assert len(versions(world)) == 1
    where = {mode_of(one) for one in world.store.list("daemonsets", "kube-system")}
    if verb == "credentials to-secrets":
        assert where == {"Secrets"}
        assert stored(world) == {
            name
            for one in world.store.list("daemonsets", "kube-system")
            for _, name in named_in(one["spec"]["template"]["spec"]["volumes"])
            if "agent" not in name
        }
    if verb == "credentials to-host":
        assert where == {"host"}
        assert stored(world) == set()


def mode_of(daemonset: dict[str, Any]) -> str:
    return "Secrets" if is_in_secrets(daemonset) else "host"


def stored(world: World) -> set[str]:
    """Return the names of the objects with credentials."""
    return {
        one["metadata"]["name"]
        for plural in ("secrets", "configmaps")
        for one in world.store.list(plural, "kube-system")
        if CREDENTIALS_LABEL in (one["metadata"].get("labels") or {})
    }


def versions(world: World) -> set[tuple[str, str]]:
    """Return the images' tags of all components that serve, and the versions that they emulate."""
    containers = [
        staticpod.component_container(one.pod)
        for node in world.nodes
        for component in COMPONENTS
        for one in node.serving(component.name)
    ]
    return {
        (one["image"].rpartition(":")[2], of_container(one).get("emulated-version", ""))
        for one in containers
    }


def leaves_nothing(world: World) -> None:
    """Check that everything is as before, if the pivot has switched nothing."""
    if {world.served_by(c, node) for node in world.nodes for c in COMPONENTS} == {"static"}:
        assert world.ours() == [], world.ours()
        assert {node.name: node.manifests for node in world.nodes} == world.files


#: The address that was kept, and the agents' pods and keys.
_TAKEN_AWAY = (
    *("endpointslices/", "pods/kubectl-selfhost-agent", "pods/kubectl-selfhost-node"),
    "secrets/kubectl-selfhost-seal",
)


def nothing_is_lost(world: World, verb: str) -> None:
    """Check that each manifest of kubeadm's is in its place, or kept; after a revert, a manifest of
    its name is.
    """
    for node in world.nodes:
        kept = [content for files in node.disk.kept.values() for content in files.values()]
        for name, content in world.files[node.name].items():
            there = node.manifests.get(name) == content or content in kept
            assert there or (verb == "revert" and name in node.manifests), f"{name} on {node.name}"
        assert node.credentials.misfits() == []


def _says_to_wait(error: SelfhostError) -> None:
    """Raise the error, unless it says that the DaemonSet controller is still at it."""
    if " Ready pods on node " not in error.message:
        raise error
    is_plain(error)


def is_plain(error: SelfhostError) -> None:
    """Check that the error is a sentence with advice, not what only a programmer reads."""
    assert error.message.strip().endswith((".", "?")), error.message
    assert error.hint.strip(), error.message
    for word in ("Traceback", "<class", " object at 0x", "NoneType"):
        assert word not in f"{error.message} {error.hint}"


# ---- the ways ----


def _fail(trial: Trial, step: Step) -> NoReturn:
    step.do()
    raise SelfhostError("It failed, as the test has it.")


def _fail_at_once(trial: Trial, step: Step) -> NoReturn:
    raise KeyError("as the test has it")


def _interrupt(trial: Trial, step: Step) -> NoReturn:
    step.do()
    raise KeyboardInterrupt


def _interrupt_twice(trial: Trial, step: Step) -> NoReturn:
    step.do()
    trial.world.fault(lambda call: call.changes, KeyboardInterrupt())
    raise KeyboardInterrupt


def _interrupt_now(trial: Trial) -> NoReturn:
    raise KeyboardInterrupt


def _lose(trial: Trial) -> None:
    trial.lease.lose()


def _lose_with_a_change(trial: Trial) -> None:
    trial.world.watchers.append(lambda _: trial.lease.lose())


def _gone(how: str) -> Way:
    def begin(trial: Trial) -> None:
        until = trial.world.clock.now + OUTAGE
        trial.world.fault(lambda _: trial.world.clock.now < until, how, times=10**6)

    # What only the end of a step needs may be there again: then the run comes to its end.
    raises = (SelfhostError, None)
    return Way(f"the API is gone: {how}", begin, raises=raises, undone=False)


def first_change(how: str) -> Way:
    """Have the first change that begins with the step fail ``how``; see ``Fault``."""

    def begin(trial: Trial) -> None:
        trial.world.fault(lambda call: call.changes, how)

    return Way(f"a change meets: {how}", begin, raises=(None,), passes=True)


def first_look(how: str) -> Way:
    """Have the first answer to a question from the step on fail ``how``."""

    def begin(trial: Trial) -> None:
        trial.world.fault(lambda call: not call.changes, how)

    return Way(f"a look meets: {how}", begin, raises=(None,), passes=True)


#: A step that fails, before it did anything and after all of it; Ctrl-C likewise, and another one.
FAILURES = (
    Way("it fails at once", instead=_fail_at_once),
    Way("it fails at its end", instead=_fail),
    Way("Ctrl-C as it begins", _interrupt_now, raises=(Stopped,)),
    Way("Ctrl-C at its end", instead=_interrupt, raises=(Stopped,)),
    Way("Ctrl-C twice", instead=_interrupt_twice, raises=(Stopped,), undone=False),
)
LEASE = (
    Way("the Lease is lost as it begins", _lose, raises=(LeaseLost,), undone=False),
    Way(
        "the Lease is lost with its first change",
        _lose_with_a_change,
        raises=(LeaseLost, None),  # None: with the last change of the run
        undone=False,
    ),
)
OUTAGES = tuple(_gone(how) for how in HOW)
KILLS = (
    Way("killed, and run again at once", raises=(Killed,), undone=False, at_once=True),
    Way("killed, and run again later", raises=(Killed,), undone=False),
)
