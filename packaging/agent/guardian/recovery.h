/* What is kept on a node for the time after a reboot: copies of the components' pods as static ones
 * (DIR/recovery/<component>.yaml), which components there are (DIR/recovery/guarded), and the
 * guardian, a static pod of this program (DIR/agent), which puts the copies in place. What returns int
 * gives 0, or -1 after fail(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/agent.h"
#include "base/options.h"
#include "node/sockets.h"

#define RECOVERY_FOLDER "recovery"
#define GUARDED_FILE RECOVERY_FOLDER "/guarded"
#define GUARDIAN_OFF "guardian-off" /* as long as it is there, the guardian does nothing */
#define GUARDIAN_FILE "kubectl-selfhost-guardian.yaml"
#define PLACED_PREFIX "kubectl-selfhost-recovery-" /* of a copy in the kubelet's directory */
#define FIRST_COMPONENT "kube-apiserver"

enum {
    GUARDED_MAX = 8,
    COPY_MAX = CONTENT_MAX + 1, /* bytes of a copy, with its end */
};

struct guarded {
    char component[COMPONENT_SIZE];
    char file[NAME_SIZE]; /* its static pod's manifest, as it was called; empty: unknown */
    long port;
    char address[ADDRESS_SIZE]; /* at which it listens; empty: unknown, and any socket counts */
};

struct guarded_list {
    struct guarded list[GUARDED_MAX];
    size_t count;
};

/* Of key=value lines: each component=... begins one, then come its port=..., address=... (which
 * lists of older versions lack) and file=... */
int guarded_parse(struct guarded_list *guarded, char *text);

/* No file: nothing is guarded. */
int guarded_read(const char *dir, struct guarded_list *guarded);

bool recovery_is_kept(const char *dir, const char *component);
bool recovery_is_in_place(const char *manifests, const char *component);

/* The copy goes into the kubelet's directory, or out of it; the journal has it. */
int recovery_place(const char *dir, const char *manifests, const char *component);
int recovery_take(const char *dir, const char *manifests, const char *component,
                  const char *reason);

/* ---- the orders ---- */

/* DIR/recovery/FILE. */
int recovery_store(const struct options *options);

/* This program, if it has the digest `sha256`, and the guardian's manifest; from then on it guards. */
int recovery_install(const struct options *options);

/* The guardian does nothing from now on, and its pod goes. Copies that are in place stay. */
int recovery_disable(const struct options *options);

/* Nothing of all this is left, copies that are in place neither. */
int recovery_clear(const struct options *options);
