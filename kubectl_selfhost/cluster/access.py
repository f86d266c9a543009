"""What the user may do, by the API server's own answer (SelfSubjectAccessReview)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import SELF_SUBJECT_ACCESS_REVIEWS
from kubectl_selfhost.harmless import harmless

_AT_ONCE = 8


@dataclass(frozen=True)
class Access:
    """An action that a run needs. An empty ``namespace`` or ``name`` means all."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        words = [self.verb, resource + (f"/{self.subresource}" if self.subresource else "")]
        if self.name:
            words.append(f'"{self.name}"')
        if self.namespace:
            words.append(f"in {self.namespace}")
        return " ".join(words)


@dataclass(frozen=True)
class Denied:
    """An action that the user may not do, and the authorizer's reason if it gave one."""

    access: Access
    reason: str

    def __str__(self) -> str:
        return f"{self.access}: {self.reason}" if self.reason else str(self.access)


def denied(cluster: Cluster, wanted: Sequence[Access]) -> list[Denied]:
    """Return which of the ``wanted`` actions the user may not do, in their order.

    Any authenticated user may ask (the system:basic-user role). Raise ApiError.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        answers = pool.map(lambda access: _review(cluster, access), wanted)
        return [answer for answer in answers if answer is not None]


def _review(cluster: Cluster, access: Access) -> Denied | None:
    attributes = {
        "verb": access.verb,
        "group": access.group,
        "resource": access.resource,
        "subresource": access.subresource,
        "namespace": access.namespace,
        "name": access.name,
    }
    review = {
        "apiVersion": SELF_SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": SELF_SUBJECT_ACCESS_REVIEWS.kind,
        "metadata": {},
        "spec": {"resourceAttributes": {key: text for key, text in attributes.items() if text}},
    }
    status = cluster.create(SELF_SUBJECT_ACCESS_REVIEWS, review).get("status") or {}
    if status.get("allowed"):
        return None
    reason = status.get("reason") or status.get("evaluationError") or ""
    return Denied(access, harmless(str(reason)))
