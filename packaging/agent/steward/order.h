/* What the steward is to do and what it has done, in two files, so that no process changes what
 * another one writes: DIR/steward is the order, written by commands under the hand-over's lock;
 * DIR/steward-progress is the answer, written by the agent that watches. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/agent.h"
#include "handover/state.h"

enum wanted {
    WATCHING, /* the old instance has all connections, the new one those that it needs to get ready */
    STEERED,  /* the new instance has all connections, the steward has left the group */
    RETURNED, /* the old instance has all connections, the steward stays in the group */
    ENDED,    /* the steward has left the group */
    SHARING,  /* the old instance's socket is being made one that is shared: nobody joins yet */
};

struct order {
    int64_t number; /* a later order has a higher one; 0: there is no order */
    enum wanted wanted;
    char component[COMPONENT_SIZE];
    char pod_uid[UID_SIZE]; /* the old instance's pod */
    char instance_uids[INSTANCES_MAX][UID_SIZE];
    size_t instances;
    bool seamless;      /* there is to be a steward; else the port is only shared */
    bool shared_before; /* the old instance has shared its port by itself */
    bool ipv6;          /* the family of the old instance's socket */
    bool ipv6_only;
    long port;
    int64_t uid;        /* the user of the old instance's socket */
    int64_t old;        /* its inode */
    char probe_address[16];
    char boot_id[BOOT_ID_SIZE];
};

struct progress {
    int64_t number;     /* of the order that this answers; 0: there is no answer */
    bool steward;       /* it is in the group */
    enum wanted reached;
    int64_t migrate;    /* what tcp_migrate_req was before, plus 1; 0: it is as it was */
    char reason[TEXT_SIZE]; /* why there is no steward, or why it can't do as ordered */
};

/* The fields of the files; only tests need them. */
extern const struct record order_record;
extern const struct record progress_record;

/* No file, or one of another boot of the machine, is no order. */
int order_read(const char *dir, const char *proc, struct order *order);

/* Gives the order a higher number, and writes it. */
int order_write(const char *dir, struct order *order);

/* Removes the order alone: an agent that watches, or the next one, cleans up what its progress tells
 * of, and removes that. */
int order_remove(const char *dir);

int progress_read(const char *dir, struct progress *progress);
int progress_write(const char *dir, const struct progress *progress);
int progress_remove(const char *dir);

/* Who listens on the port of an order. */
struct order_view {
    bool old_listens;
    bool new_listens; /* a process of the new instance */
};

void order_look(const char *proc, const struct order *order, struct order_view *view);
