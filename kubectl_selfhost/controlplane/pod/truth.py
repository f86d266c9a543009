"""The manifest on the node is what runs, even if its mirror pod differs.

The kubelet runs the file, and creates the mirror through the API, where admission may change it:
AlwaysPullImages changes pull policies, a webhook images or amounts, a LimitRange limits. Before an
agent runs, a plan uses the mirror. When the agent has read the file, the file counts. If a difference
can't come from admission, the kubelet has not read the file yet.
"""

from __future__ import annotations

import re

from kubectl_selfhost.controlplane.pod import difference
from kubectl_selfhost.controlplane.pod.difference import Difference

_OF_A_CONTAINER = r"spec\.(?:initContainers|containers)\[(?P<name>[^\]]*)\]"
_POLICY = re.compile(rf"{_OF_A_CONTAINER}\.imagePullPolicy")
_AMOUNT = re.compile(rf"{_OF_A_CONTAINER}\.resources\b.*")
_IMAGE = re.compile(rf"{_OF_A_CONTAINER}\.image")
#: Fields that admission adds, and that the kubelet ignores for a static pod.
_ADDED = re.compile(
    r"metadata\.(?:labels|annotations)(?:\..*)?"
    r"|spec\.(?:nodeSelector|overhead)(?:\..*)?"
    r"|spec\.tolerations(?:\[.*)?"
    r"|spec\.(?:priority|priorityClassName)"
)


def admissions(file: dict, mirror: dict) -> list[Difference]:
    """Return the changes that admission made in the ``mirror`` of the manifest ``file``."""
    return [one for one in difference.meaning(file, mirror) if _is_admissions(one, mirror)]


def unexplained(file: dict, mirror: dict) -> list[Difference]:
    """Return the differences between the manifest ``file`` and the running pod that admission can't
    have made. The ``mirror`` shows the running pod.
    """
    return [one for one in difference.meaning(file, mirror) if not _is_admissions(one, mirror)]


def image_on_node(pod: dict, container: dict) -> str:
    """Return the name by which a node has the image of a running pod's ``container``.

    The container's status has this name. A webhook may have put another registry into the pod's
    fields, from which the node never pulled.
    """
    given = str(container["image"])
    running = _running(pod, str(container.get("name")))
    return running if running and _repository(running) != _repository(given) else given


def _is_admissions(one: Difference, mirror: dict) -> bool:
    if _ADDED.fullmatch(one.path):
        return one.a is None
    if one.path == "spec.preemptionPolicy":  # the class's value, if the file has no value
        return True
    image = _IMAGE.fullmatch(one.path)
    if image is not None:
        # Webhooks change the registry, or add a digest. If the mirror's image runs, the kubelet has not
        # started the file's image yet.
        runs = _short(one.b or "") == _short(_running(mirror, image["name"]))
        return not runs and _name_and_tag(one.a or "") == _name_and_tag(one.b or "")
    return bool(_POLICY.fullmatch(one.path) or _AMOUNT.fullmatch(one.path))


def _running(pod: dict, name: str) -> str:
    """Return the image that the runtime runs for a container; empty if it reports only an ID."""
    status = pod.get("status") or {}
    every = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    found = [str(one.get("image", "")) for one in every if one.get("name") == name]
    return next((image for image in found if not image.startswith("sha256:")), "")


def _short(image: str) -> str:
    """Return an image's name without the runtime's additions to a short name."""
    return image.removeprefix("docker.io/").removeprefix("library/")


def _name_and_tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2]


def _repository(image: str) -> str:
    name = _short(image).partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]
