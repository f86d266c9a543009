/* What a command is told: words of a command line ("--port 6443") or the lines of an order ("port=6443",
 * see record.h). options.c has the one table of both. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/agent.h"

/* Texts point into what was read; NULL where an option wasn't given. Times are in seconds. */
struct options {
    const char *order;
    const char *dir;
    const char *manifests;
    const char *component;
    const char *container;
    const char *file;
    const char *sha256;
    const char *reason;
    const char *static_uid; /* never NULL, nor are log_dir, former, probe_address, proc */
    const char *instance_uids[LIST_MAX];
    size_t instances;
    const char *pod_uid;
    const char *way;
    const char *probe_address;
    const char *log_dir;
    const char *addresses[LIST_MAX];
    size_t address_count;
    const char *content; /* any bytes */
    size_t content_length;
    const char *former;
    const char *from; /* a set of credentials; NULL: the node's own */
    const char *to;
    const char *files[LIST_MAX];
    size_t file_count;
    const char *hold;
    const char *key;
    const char *proc;
    long port;
    long limit;
    long listen_limit;
    long idle;
    long user; /* -1: our own */
    bool keep_backups;
    bool by_name;
    bool link;
    uint64_t given; /* which rows of the table */
};

/* Reads the words after a command's name. Returns 0, or -1 after fail(). */
int options_read_words(struct options *options, int count, char *const *words);

/* Reads an order; the text is changed, and the options point into it. Returns 0, or -1 after fail(). */
int options_read_order(struct options *options, char *text);

/* Whether `who`, a command or an order, is given all `needed` options and none beyond the `allowed`
 * ones; both are names with blanks between them. Returns 0, or -1 after fail(). */
int options_check(const struct options *options, const char *who, const char *needed,
                  const char *allowed);
