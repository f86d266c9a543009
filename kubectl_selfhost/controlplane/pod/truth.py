"""What runs: what the manifest on the node says, whatever its mirror pod became.

The kubelet runs the file. The mirror is made through the API, where admission may change it:
AlwaysPullImages its pull policies, a webhook its images or amounts, a LimitRange its limits. A plan
is made from the mirror, because no agent runs yet; as soon as the agent has read the file, the file
counts. A difference that admission can't have made means that the kubelet has not read the file.
"""

from __future__ import annotations

import re

from kubectl_selfhost.controlplane.pod import difference
from kubectl_selfhost.controlplane.pod.difference import Difference

_OF_A_CONTAINER = r"spec\.(?:initContainers|containers)\[(?P<name>[^\]]*)\]"
_POLICY = re.compile(rf"{_OF_A_CONTAINER}\.imagePullPolicy")
_AMOUNT = re.compile(rf"{_OF_A_CONTAINER}\.resources\b.*")
_IMAGE = re.compile(rf"{_OF_A_CONTAINER}\.image")
#: Fields that admission adds and that mean nothing for a static pod: the kubelet doesn't read them.
_ADDED = re.compile(
    r"metadata\.(?:labels|annotations)(?:\..*)?"
    r"|spec\.(?:nodeSelector|overhead)(?:\..*)?"
    r"|spec\.tolerations(?:\[.*)?"
    r"|spec\.(?:priority|priorityClassName)"
)


def admissions(file: dict, mirror: dict) -> list[Difference]:
    """Return what admission made of the ``mirror`` of the manifest ``file``."""
    return [one for one in difference.meaning(file, mirror) if _is_admissions(one, mirror)]


def unexplained(file: dict, mirror: dict) -> list[Difference]:
    """Return where the manifest ``file`` says something else than what runs, as the ``mirror``
    shows it.
    """
    return [one for one in difference.meaning(file, mirror) if not _is_admissions(one, mirror)]


def image_on_node(pod: dict, container: dict) -> str:
    """Return the name by which a node has the image of a running pod's ``container``.

    The container's status has this name. The pod's own fields may name another registry (a
    webhook's), from which the node never pulled.
    """
    given = str(container["image"])
    running = _running(pod, str(container.get("name")))
    return running if running and _repository(running) != _repository(given) else given


def _is_admissions(one: Difference, mirror: dict) -> bool:
    if _ADDED.fullmatch(one.path):
        return one.a is None
    if one.path == "spec.preemptionPolicy":  # the class's value, if the file has none
        return True
    image = _IMAGE.fullmatch(one.path)
    if image is not None:
        # Webhooks change the registry, or add a digest. If the mirror's image runs, then the file's
        # image is the one that nobody has started yet.
        runs = _short(one.b or "") == _short(_running(mirror, image["name"]))
        return not runs and _name_and_tag(one.a or "") == _name_and_tag(one.b or "")
    return bool(_POLICY.fullmatch(one.path) or _AMOUNT.fullmatch(one.path))


def _running(pod: dict, name: str) -> str:
    """Return the image that the runtime runs for a container; empty if the runtime knows only an
    ID.
    """
    status = pod.get("status") or {}
    every = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    found = [str(one.get("image", "")) for one in every if one.get("name") == name]
    return next((image for image in found if not image.startswith("sha256:")), "")


def _short(image: str) -> str:
    """Return an image's name without what the runtime adds to a short name."""
    return image.removeprefix("docker.io/").removeprefix("library/")


def _name_and_tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2]


def _repository(image: str) -> str:
    name = _short(image).partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]
