#include "steward/examine.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/json.h"
#include "base/text.h"
#include "node/process.h"
#include "steward/steering.h"

static const char *const words[] = {
    [WAITING] = "waiting",
    [SHARED] = "shared",
    [ALMOST_SEAMLESS] = "steered",
    [SEAMLESS] = "seamless",
};

enum way way_named(const char *word) {
    int way = SEAMLESS;
    while (way > WAITING && strcmp(word, words[way]) != 0) {
        way--;
    }
    return (enum way)way;
}

/* Who listens on the port, by what they are to the hand-over. */
struct census {
    int of_old, of_new, of_others;
    long pids[LISTENERS_MAX];
    size_t pids_count;
};

enum owner { OLD, NEW, STEWARD, STRANGER };

static enum owner owner_of(const struct options *o, const struct listener *listener,
                           struct holder *holder) {
    *holder = socket_holder(o->proc, o->pod_uid, listener->inode);
    if (holder->pid != 0) {
        return OLD;
    }
    for (size_t i = 0; i < o->instances; i++) {
        *holder = socket_holder(o->proc, o->instance_uids[i], listener->inode);
        if (holder->pid != 0) {
            return NEW;
        }
    }
    *holder = socket_holder(o->proc, NULL, listener->inode);
    return holder->pid != 0 && process_is_agent(o->proc, holder->pid) ? STEWARD : STRANGER;
}

static void count(enum owner owner, long pid, struct census *census) {
    census->of_old += owner == OLD;
    census->of_new += owner == NEW;
    census->of_others += owner == STRANGER;
    census->pids[census->pids_count++] = pid;
}

/* A process that has the port at another address than the old instance shares nothing with it: a proxy
 * at the node's address, say, of a server on loopback. */
static void take_census(const struct options *o, const struct listeners *listeners,
                        struct census *census, struct examined *examined) {
    struct holder holders[LISTENERS_MAX];
    enum owner owners[LISTENERS_MAX];
    for (size_t i = 0; i < listeners->count; i++) {
        owners[i] = owner_of(o, &listeners->list[i], &holders[i]);
        if (owners[i] == OLD) {
            examined->old = listeners->list[i];
            examined->holder = holders[i];
        }
    }
    for (size_t i = 0; i < listeners->count; i++) {
        bool apart = owners[i] == STRANGER && examined->old.inode != 0 &&
                     !listener_overlaps(&listeners->list[i], &examined->old);
        if (owners[i] != STEWARD && !apart) {
            count(owners[i], holders[i].pid, census);
        }
    }
    examined->listeners = census->pids_count;
}

/* "pids 12, 77 and 80"; a process that can't be seen from here is "unknown". */
static void list_pids(const struct census *census, char *out, size_t size) {
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; i < census->pids_count && length + 1 < size; i++) {
        const char *before = i == 0 ? "" : i + 1 == census->pids_count ? " and " : ", ";
        char pid[24] = "unknown";
        if (census->pids[i] != 0) {
            snprintf(pid, sizeof pid, "%ld", census->pids[i]);
        }
        int part = snprintf(out + length, size - length, "%s%s", before, pid);
        length += part > 0 ? (size_t)part : 0;
    }
}

/* Says why the listeners of the port rule out sharing, if they do. */
static bool is_crowded(const struct options *o, const struct census *census,
                       struct examined *examined) {
    char pids[160];
    list_pids(census, pids, sizeof pids);
    if (examined->listeners == 0) {
        snprintf(examined->reason, TEXT_SIZE, "nothing listens on port %ld", o->port);
        return true;
    }
    if (census->of_old > 1 || census->of_new > 1 || (census->of_old == 1 && census->of_others > 0)) {
        snprintf(examined->reason, TEXT_SIZE, "%d processes listen on port %ld: pids %s",
                 (int)examined->listeners, o->port, pids);
        return true;
    }
    if (census->of_old == 0 && census->pids[0] == 0) {
        snprintf(examined->reason, TEXT_SIZE, "who listens on port %ld can't be seen", o->port);
        return true;
    }
    if (census->of_old == 0) {
        snprintf(examined->reason, TEXT_SIZE,
                 "the pod's server does not listen on port %ld, but pid %s", o->port, pids);
        return true;
    }
    return false;
}

static bool is_out_of_reach(struct examined *examined) {
    int value = 0;
    socklen_t size = sizeof value;
    int fd = socket_duplicate(examined->holder, examined->old.inode);
    if (fd < 0) {
        snprintf(examined->reason, TEXT_SIZE, "%.250s", failure_text());
        return true;
    }
    int result = getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &size);
    if (result != 0) {
        snprintf(examined->reason, TEXT_SIZE, "the kernel refuses SO_REUSEPORT (%s)",
                 strerror(errno));
    }
    examined->shares = value != 0;
    size = sizeof value;
    /* An MPTCP socket can't be asked everywhere; what Go makes of a wildcard is for both families. */
    examined->ipv6_only = examined->old.ipv6 &&
                          getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &size) == 0 &&
                          value != 0;
    close(fd);
    return result != 0;
}

void examine(const struct options *options, struct examined *examined) {
    struct listeners listeners;
    struct census census = {.of_old = 0};
    char address[ADDRESS_SIZE];
    *examined = (struct examined){.way = WAITING};
    listeners_find(options->proc, options->port, &listeners);
    take_census(options, &listeners, &census, examined);
    if (is_crowded(options, &census, examined) || is_out_of_reach(examined)) {
        return;
    }
    if (!listener_is_wildcard(&examined->old)) {
        listener_address(&examined->old, address);
        snprintf(examined->reason, TEXT_SIZE, "it listens on one address (%s)", address);
        examined->way = SHARED;
        return;
    }
    if (!migrate_works(options->proc)) {
        copy_text(examined->reason, TEXT_SIZE,
                  "the node's kernel resets connections that are just being opened when a server "
                  "closes its port, Linux 5.14 does not");
        examined->way = ALMOST_SEAMLESS;
        return;
    }
    examined->way = SEAMLESS;
}

int examine_answer(const struct options *options) {
    struct examined examined;
    struct json json;
    examine(options, &examined);
    answer_begin(&json);
    json_string(&json, "way", words[examined.way]);
    json_string(&json, "reason", examined.reason);
    json_number(&json, "uid", examined.old.uid);
    json_number(&json, "listeners", (int64_t)examined.listeners);
    return answer_end(&json);
}
