/* In which way the port of a server that runs can be shared. */
#pragma once

#include "base/agent.h"
#include "base/options.h"
#include "node/sockets.h"

/* From the worst to the best. ALMOST_SEAMLESS ("steered"): but the kernel resets connections that wait in
 * a listener's queue when it closes. */
enum way { WAITING, SHARED, ALMOST_SEAMLESS, SEAMLESS };

struct examined {
    enum way way;           /* the best one that is possible */
    char reason[TEXT_SIZE]; /* why it is no better one; empty for SEAMLESS */
    size_t listeners;       /* how many sockets have its port and address, ours aside */
    struct listener old;    /* the server's; inode 0: it has none */
    struct holder holder;   /* where that is open */
    bool shares;            /* it shares its port already */
    bool ipv6_only;
};

/* WAITING for a word that is no way. */
enum way way_named(const char *word);

/* Looks at --port, --pod-uid, --instance-uid; changes nothing. */
void examine(const struct options *options, struct examined *examined);

/* The command: prints its answer. */
int examine_answer(const struct options *options);
