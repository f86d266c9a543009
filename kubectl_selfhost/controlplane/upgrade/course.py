"""How far a component is on its way to a target, as its container tells, and each change on the way.

To a new minor release a component goes in two changes: the new program that still behaves as the old
release (``--emulated-version``), then the same program without this flag.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.upgrade import unset
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version

EMULATED = "emulated-version"
#: From this version on, the next minor release of all three components can behave as it.
_CAN_BE_EMULATED = Version(1, 32, 0)


def image_at(container: dict, component: str, target: Target) -> str:
    """Return the image that the component has at the target."""
    return target.image(component, str(container.get("image", "")))


def is_there(container: dict, component: str, target: Target) -> bool:
    """Return whether the component runs the target's image, whatever it emulates."""
    return container.get("image") == image_at(container, component, target)


def emulates(container: dict) -> str:
    """Return the version that the component behaves as, by its flag; empty for its own."""
    return component_flags.of_container(container).get(EMULATED, "")


def emulation(container: dict, target: Target) -> str:
    """Return the version that the target's program has to behave as at first; empty for its own.

    A component whose image tells no version gets no such flag: the flag's value would be a guess.
    """
    now = Version.of_image(str(container.get("image", "")))
    if now is None or now < _CAN_BE_EMULATED or target.version.minors_after(now) != 1:
        return ""
    return now.release.removeprefix("v")


def towards(
    container: dict, component: str, target: Target, *, flags: Sequence[str], gates: Sequence[str]
) -> Change:
    """Return the change to the target's image, without the ``flags`` and ``gates`` that are named."""
    change = unset.change(
        container, image=image_at(container, component, target), flags=flags, gates=gates
    )
    as_before = emulation(container, target)
    if not as_before:
        return change
    return Change(
        image=change.image,
        flags={**change.flags, EMULATED: [as_before]},
        without=change.without,
    )


def commit(container: dict) -> Change:
    """Return the change after which the component behaves as its own version."""
    return Change(without=(EMULATED,)) if emulates(container) else Change()


def back(container: dict, former: dict, *, image: str = "") -> Change:
    """Return the change that gives the component its ``former`` image (or ``image``), and the flags
    that it lost.

    A flag that a person has set since then stays, but for the emulated version. The change is empty
    if nothing differs.
    """
    now, before = _flags(container), _flags(former)
    lost = {name: values for name, values in before.items() if name not in now}
    gates = before.get(unset.GATES)
    if gates is not None and gates != now.get(unset.GATES):
        lost[unset.GATES] = gates
    gone = (EMULATED,) if EMULATED in now and EMULATED not in before else ()
    wanted = image or str(former.get("image", ""))
    return Change(
        image="" if wanted == container.get("image") else wanted, flags=lost, without=gone
    )


def _flags(container: dict) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in component_flags.all_of_container(container):
        found.setdefault(name, []).append(value)
    return found
