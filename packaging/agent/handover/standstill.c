#include "handover/standstill.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/json.h"
#include "base/record.h"
#include "base/runtime.h"
#include "base/text.h"
#include "handover/handover.h"
#include "handover/watcher.h"
#include "node/process.h"

enum { LIMIT = 15 }; /* seconds */

static const struct field fields[] = {
    RECORD_NUMBER(standstill, since, false, 0, INT64_MAX),
    RECORD_NUMBER(standstill, limit, false, 0, INT64_MAX),
    RECORD_TEXT(standstill, component, false, is_component),
    RECORD_UIDS(standstill, instance_uids, instances),
    RECORD_TEXT(standstill, boot_id, false, NULL),
};
const struct record standstill_record = RECORD("paused", fields);

static int read_file(const char *dir, struct standstill *standstill) {
    bool found;
    *standstill = (struct standstill){.since = 0};
    return record_read(&standstill_record, dir, standstill, &found);
}

bool standstill_is_on(const char *dir) { return file_exists(dir, standstill_record.name); }

static int count_servers(const char *proc, const struct standstill *s) {
    int servers = 0;
    for (size_t i = 0; i < s->instances; i++) {
        struct pod_processes processes = pod_processes(proc, s->instance_uids[i]);
        servers += pod_servers(&processes, false);
    }
    return servers;
}

static int stop_servers(const char *proc, const struct standstill *s) {
    int servers = count_servers(proc, s);
    for (size_t i = 0; i < s->instances; i++) {
        pod_signal_servers(proc, s->instance_uids[i], SIGSTOP);
    }
    return servers;
}

/* Lets every process of the pods go on: which of them were stopped is not remembered. Returns how many
 * servers there are. */
static int let_go_on(const char *proc, const struct standstill *s) {
    for (size_t i = 0; i < s->instances; i++) {
        pod_signal(proc, s->instance_uids[i], SIGCONT);
    }
    return count_servers(proc, s);
}

int standstill_end(const char *dir, const char *proc) {
    struct standstill standstill;
    /* Of what a damaged file has, everything that could be read is let go on. */
    int bad = read_file(dir, &standstill);
    int servers = let_go_on(proc, &standstill);
    return bad != 0 || file_remove(dir, standstill_record.name) != 0 ? -1 : servers;
}

static bool is_over(const char *proc, const struct standstill *s) {
    char boot_id[BOOT_ID_SIZE];
    int64_t passed = boot_milliseconds() - s->since;
    boot_id_read(proc, boot_id, sizeof boot_id);
    return passed < 0 || passed >= s->limit || strcmp(boot_id, s->boot_id) != 0;
}

int standstill_check(const char *dir, const char *proc, bool now) {
    struct standstill standstill;
    int fd, result = 0;
    if (!standstill_is_on(dir)) {
        return 0;
    }
    int bad = read_file(dir, &standstill);
    if (!now && bad == 0 && !is_over(proc, &standstill)) {
        return 0;
    }
    /* A command may hold the lock for seconds. The file goes when it can be had. */
    result = let_go_on(proc, &standstill);
    if (handover_try_lock(dir, false, &fd) == 0) {
        bad = read_file(dir, &standstill);
        if (now || bad != 0 || is_over(proc, &standstill)) {
            result = standstill_end(dir, proc);
        }
        close(fd);
    }
    return result;
}

/* ---- the commands ---- */

int standstill_pause(const struct options *o) {
    struct standstill standstill = {.since = boot_milliseconds(), .instances = o->instances};
    standstill.limit = (o->limit < LIMIT ? o->limit : LIMIT) * 1000;
    if (handover_lock(o->dir) != 0 || watcher_require(o->dir) != 0) {
        return -1;
    }
    boot_id_read(o->proc, standstill.boot_id, sizeof standstill.boot_id);
    copy_whole(standstill.component, sizeof standstill.component, o->component);
    for (size_t i = 0; i < o->instances; i++) {
        copy_whole(standstill.instance_uids[i], UID_SIZE, o->instance_uids[i]);
    }
    /* What another one was to remember must not be forgotten. */
    if (standstill_end(o->dir, o->proc) < 0) {
        file_remove(o->dir, standstill_record.name);
    }
    if (record_write(&standstill_record, o->dir, &standstill) != 0) {
        return -1;
    }
    return answer_number("paused", stop_servers(o->proc, &standstill));
}

int standstill_resume(const struct options *o) {
    if (handover_lock(o->dir) != 0) {
        return -1;
    }
    int servers = standstill_is_on(o->dir) ? standstill_end(o->dir, o->proc) : 0;
    return servers < 0 ? -1 : answer_number("resumed", servers);
}
