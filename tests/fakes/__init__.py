"""A control plane without containers, on which whole plans run in milliseconds.

    from fakes.world import World

The real client (``cluster.client.Cluster``) sends its requests to a fake API server (``edge``) with
a store of objects (``store``); kubelets, controllers and node agents work on the same store
(``plane``, ``agent``). Time is virtual (``clock``): a wait of minutes takes no time. ``branches``
breaks a run at each of its steps.
"""
