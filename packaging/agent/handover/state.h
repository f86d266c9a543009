/* The hand-over that is going on, as DIR/state keeps it: lines of key=value, the last one "end=1".
 * It is what the agent goes on from after its container was restarted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/agent.h"
#include "base/runtime.h"

enum { BOOT_ID_SIZE = 40 };

enum phase {
    IDLE,         /* nothing was ever handed over: there is no file */
    ARMED,        /* the manifest is away, or about to go; the dead man's switch runs */
    CONFIRMED,    /* the new instance serves, the manifest stays away */
    PUTTING_BACK, /* decided, not done yet: the process that finds this finishes it */
    PUT_BACK,     /* the manifest is in its place again */
    PLACED,       /* a manifest of ours is in the kubelet's directory; the dead man's switch runs */
    TAKING_AWAY,  /* decided, not done yet */
    TAKEN_AWAY,   /* it is out of there again */
};

struct state {
    enum phase phase;
    char component[COMPONENT_SIZE];
    char container[COMPONENT_SIZE]; /* of the new instance's pod */
    char file[NAME_SIZE];
    char sha256[DIGEST_SIZE];
    char manifests[PATH_SIZE]; /* where the file belongs */
    char former[DIGEST_SIZE];  /* of the file whose place it has taken; empty: there was none */
    char reason[TEXT_SIZE];    /* of the putting back */
    char static_uid[UID_SIZE]; /* empty: unknown */
    char instance_uids[INSTANCES_MAX][UID_SIZE];
    size_t instances;
    bool known_program;        /* see instance_known_program() */
    char log_dir[PATH_SIZE];   /* of all pods; empty: restarts aren't seen */
    char log_prefix[NAME_SIZE]; /* how log directories of the new instance's pods begin, or empty */
    long port;
    long limit;        /* seconds */
    long listen_limit; /* seconds */
    long starts;       /* of the new instance's container before it was armed */
    int64_t deadline;  /* boot_milliseconds() of the boot below */
    char boot_id[BOOT_ID_SIZE];
};

/* Whether the manifest may have to come back, or to go again. */
bool state_is_pending(const struct state *state);

/* Whether the hand-over is one that places a manifest, and isn't over. */
bool state_is_placing(const struct state *state);

/* Writes the state into the log, in words. */
void state_tell(const struct state *state);

/* The word in the file and in answers. */
const char *phase_word(enum phase phase);

/* The fields of the file; only tests need them. */
extern const struct record state_record;

/* No file is IDLE. */
int state_read(const char *dir, struct state *state);

/* Lasting when it returns. On a full disk it overwrites the file that is there. An IDLE state
 * removes the file. */
int state_write(const char *dir, const struct state *state);

/* DIR/journal: what was done on this node, a line of JSON for each event. */

/* Returns 0, or -1 after fail(). `reason` may be NULL. */
int journal_add(const char *dir, const char *event, const struct state *state, const char *reason);
