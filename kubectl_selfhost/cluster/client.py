"""The API server as plans use it: plain dicts as objects, errors in words, and patient calls.

The client uses the paths of known kinds, without discovery and without models. While a control plane
changes hands, its API refuses or resets connections, times out, answers 503, and for a second after
its start even 403. Inside ``Cluster.waiting`` each call outlasts such an outage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubectl_selfhost.cluster.connection.calls import Calls, Manifest
from kubectl_selfhost.cluster.connection.exec import ExecResult
from kubectl_selfhost.cluster.errors import AlreadyExists, Conflict, NotFound
from kubectl_selfhost.cluster.kinds import (
    PODS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_REVIEWS,
    Kind,
    kind_of,
)
from kubectl_selfhost.harmless import harmless
from kubectl_selfhost.names import FIELD_MANAGER, NAMESPACE

_PAGE = 500


class Cluster(Calls):
    """A cluster, as a user sees it. Safe to use from several threads.

    ``server`` is the API server's URL, ``context`` and ``user`` are the kubeconfig's names.
    ``patience`` is for how many seconds a call tries again while it can't reach the API (0: the call
    fails at once). ``timeout`` is the limit of each try, in seconds.
    """

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Manifest:
        """Return the object. Raise NotFound."""
        asked = _asked("get", kind, name, namespace)
        return self._json("GET", kind.path(name, namespace), asked)

    def find(self, kind: Kind, name: str, namespace: str | None = None) -> Manifest | None:
        """Return the object, or None if there is none."""
        try:
            return self.get(kind, name, namespace)
        except NotFound:
            return None

    def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Manifest]:
        """Return the objects that match both selectors, each with its apiVersion and kind."""
        items: list[Manifest] = []
        token = ""
        while True:
            query = {"labelSelector": labels, "fieldSelector": fields, "continue": token}
            query = {"limit": str(_PAGE), **{key: value for key, value in query.items() if value}}
            asked = _asked("list", kind, "", namespace)
            page = self._json("GET", kind.path(None, namespace), asked, query=query)
            for item in page.get("items") or []:
                items.append({"apiVersion": kind.api_version, "kind": kind.kind, **item})
            token = (page.get("metadata") or {}).get("continue", "")
            if not token:
                return items

    def create(self, kind: Kind, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create the object; return the object that the API stored. Raise AlreadyExists.

        If the answer to an earlier try was lost, AlreadyExists means that this try succeeded: then
        return the existing object.
        """
        name, namespace = _identity(manifest)
        path = kind.path(None, namespace if kind.namespaced else None)
        asked = _asked("create", kind, name, namespace)
        query = _write_query(dry_run)
        try:
            return self._json(
                "POST", path, asked, query=query, body=manifest, reads=dry_run or _only_asks(kind)
            )
        except AlreadyExists as error:
            if error.retried and name:
                return self.get(kind, name, namespace)
            raise

    def apply(self, manifest: Manifest, *, dry_run: bool = False, force: bool = True) -> Manifest:
        """Apply the manifest server-side under our field manager. Raise Conflict without ``force``."""
        kind = kind_of(manifest)
        name, namespace = _identity(manifest)
        query = {**_write_query(dry_run), "force": "true" if force else "false"}
        return self._json(
            "PATCH",
            kind.path(name, namespace),
            _asked("apply", kind, name, namespace),
            query=query,
            body=manifest,
            content_type="application/apply-patch+yaml",  # JSON is YAML
            reads=dry_run,
        )

    def patch(
        self,
        kind: Kind,
        name: str,
        patch: Mapping[str, Any],
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> Manifest:
        """Apply a JSON merge patch (RFC 7386: None removes a key); return the object."""
        path = kind.path(name, namespace) + (f"/{subresource}" if subresource else "")
        return self._json(
            "PATCH",
            path,
            _asked("patch", kind, name, namespace),
            query={"fieldManager": FIELD_MANAGER},
            body=patch,
            content_type="application/merge-patch+json",
        )

    def replace(self, kind: Kind, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Replace the object, if nobody has changed the object since it was read.

        Raise Conflict if its metadata.resourceVersion is no longer the current one.
        """
        name, namespace = _identity(manifest)
        asked = _asked("update", kind, name, namespace)
        query = _write_query(dry_run)
        try:
            return self._json(
                "PUT", kind.path(name, namespace), asked, query=query, body=manifest, reads=dry_run
            )
        except Conflict as error:
            if not error.retried:
                raise
            # The answer to an earlier try may be lost: then that try made the object.
            current = self.get(kind, name, namespace)
            if _content(current) != _content(manifest):
                raise
            return current

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        grace_seconds: int | None = None,
        propagation: str | None = None,
        uid: str | None = None,
    ) -> bool:
        """Delete the object; return False if it was absent (with ``uid``: also if another object
        has its name).

        ``propagation`` is Foreground, Background or Orphan. If ``propagation`` or ``grace_seconds``
        is None, the API's default applies.
        """
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation is not None:
            options["propagationPolicy"] = propagation
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        asked = _asked("delete", kind, name, namespace)
        try:
            self._json("DELETE", kind.path(name, namespace), asked, body=options)
        except NotFound as error:
            return error.retried
        except Conflict:
            if uid is None:
                raise
            return False
        return True

    def raw(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Send a request to any path; return status and body of the answer. Raise ApiError for an
        error status.

        ``body`` is bytes, or a value that becomes JSON.
        """
        answer = self._call(method, path, f"{method} {path}", query=query, body=body, accept="*/*")
        return answer.status, answer.body

    def logs(
        self,
        pod: str,
        container: str,
        *,
        namespace: str = NAMESPACE,
        previous: bool = False,
        tail: int = 20,
    ) -> str:
        """Return the last ``tail`` lines that the container wrote, safe for a terminal."""
        query = {"container": container, "tailLines": str(tail)}
        if previous:
            query["previous"] = "true"
        asked = _asked("read the logs of", PODS, pod, namespace)
        path = PODS.path(pod, namespace) + "/log"
        answer = self._call("GET", path, asked, query=query, accept="*/*")
        return harmless(answer.body.decode("utf-8", "replace"))

    def exec(
        self,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        namespace: str = NAMESPACE,
        timeout: float = 10.0,
    ) -> ExecResult:
        """Run ``command`` in a container until it ends. Raise Unreachable if its end was not seen.

        The command's words are in the request's URL, and so in audit logs; ``stdin`` is not. The
        command itself must know where ``stdin`` ends, because not every server can close ``stdin``.

        This method never runs a command a second time if the first may have started: only the caller
        knows whether that is safe.
        """
        from kubectl_selfhost.cluster.connection.exec import run_in_container

        asked = _asked("exec into", PODS, pod, namespace)

        def once(_: float) -> ExecResult:
            self.may_act()
            return run_in_container(
                self.transport,
                pod=pod,
                container=container,
                command=command,
                stdin=stdin,
                namespace=namespace,
                action=asked,
                timeout=timeout,
                may_send=self.may_act,
            )

        return self._outlast(once)


def _asked(verb: str, kind: Kind, name: str, namespace: str | None) -> str:
    what = f'{verb} {kind.plural} "{name}"' if name else f"{verb} {kind.plural}"
    return f"{what} in {namespace}" if namespace and kind.namespaced else what


def _identity(manifest: Mapping[str, Any]) -> tuple[str, str | None]:
    metadata = manifest.get("metadata") or {}
    return metadata.get("name", ""), metadata.get("namespace")


def _only_asks(kind: Kind) -> bool:
    """Return whether creating an object of this kind is a question that leaves nothing behind."""
    return kind in (SELF_SUBJECT_ACCESS_REVIEWS, SELF_SUBJECT_REVIEWS)


def _write_query(dry_run: bool) -> dict[str, str]:
    query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
    return {**query, "dryRun": "All"} if dry_run else query


def _content(manifest: Mapping[str, Any]) -> Manifest:
    return {key: value for key, value in manifest.items() if key not in ("metadata", "status")}
