/* The command line: which options there are, and which of them a command takes and needs. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "agent.h"

enum option {
    OPT_DIR,
    OPT_MANIFESTS,
    OPT_COMPONENT,
    OPT_CONTAINER,
    OPT_FILE,
    OPT_SHA256,
    OPT_REASON,
    OPT_STATIC_UID,
    OPT_INSTANCE_UID,
    OPT_POD_UID,
    OPT_WAY,
    OPT_PROBE_ADDRESS,
    OPT_LOG_DIR,
    OPT_PORT,
    OPT_LIMIT,
    OPT_LISTEN_LIMIT,
    OPT_ADDRESS,
    OPT_HOLD,
    OPT_IDLE,
    OPT_BYTES,
    OPT_PROC,
    OPT_RATE,
    OPT_DURATION,
    OPT_OFFSET,
    OPT_CONTENT,
    OPT_KEEP,
    OPT_FORMER,
    OPT_COUNT,
};

#define OPTION(name) (1u << OPT_##name)

/* Texts point into argv; NULL where an option wasn't given. Times are in seconds. */
struct options {
    const char *dir;
    const char *manifests;
    const char *component;
    const char *container;
    const char *file;
    const char *sha256;
    const char *reason;
    const char *static_uid;
    const char *instance_uids[INSTANCES_MAX];
    size_t instances;
    const char *pod_uid;
    const char *way;
    const char *probe_address; /* never NULL */
    const char *log_dir;
    const char *addresses[ADDRESSES_MAX];
    size_t address_count;
    const char *content; /* base64 */
    const char *keep;
    const char *former;
    const char *hold;
    const char *proc;
    long port;
    long limit;
    long listen_limit;
    long idle;
    long offset;
    long bytes;
    long rate; /* a second */
    long duration;
};

/* Reads `count` words after the command. `needed` and `allowed` are sets of OPTION(). */
int options_read(struct options *options, int count, char *const *words, unsigned needed,
                 unsigned allowed);

#endif
