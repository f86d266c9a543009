/* Limits and words that all parts of the node agent share. */
#pragma once

#define AGENT_VERSION "1.0.0"

/* The name that every process of ours takes (prctl PR_SET_NAME; 15 characters at most), by which an
 * agent tells another agent, e.g. one that waits for a port in a DaemonSet's pod, from a server. */
#define AGENT_COMM "selfhost-agent"

enum {
    PATH_SIZE = 1024,     /* bytes of a path, with its end */
    NAME_SIZE = 256,      /* a file name */
    COMPONENT_SIZE = 64,  /* a component's name */
    UID_SIZE = 65,        /* a pod's UID */
    DIGEST_SIZE = 65,     /* a SHA-256 in hexadecimal */
    TEXT_SIZE = 256,      /* a reason */
    LIST_MAX = 8,         /* values of one option */
    INSTANCES_MAX = LIST_MAX, /* pods of the new instance on one node */
    ADDRESSES_MAX = LIST_MAX, /* addresses that a server listens on */
    CONTENT_MAX = 256 * 1024, /* bytes of a manifest that is read or written; one has a few KiB */
};
