#include "kill.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "json.h"
#include "process.h"

enum { DEAD_WITHIN = 5000 /* milliseconds */ };

/* One that waits to be reaped does nothing any more. */
static bool any_lives(const char *proc, const struct server_list *processes) {
    for (size_t i = 0; i < processes->count; i++) {
        if (kill((pid_t)processes->pids[i], 0) == 0 && !process_is_zombie(proc, processes->pids[i])) {
            return true;
        }
    }
    return false;
}

int kill_servers(const struct options *options) {
    static char output[256];
    static struct server_list processes;
    struct json json;
    pod_find_servers(options->proc, options->pod_uid, &processes);
    for (size_t i = 0; i < processes.count; i++) {
        kill((pid_t)processes.pids[i], SIGKILL);
    }
    int64_t end = boot_milliseconds() + DEAD_WITHIN;
    while (any_lives(options->proc, &processes)) {
        if (boot_milliseconds() >= end) {
            return fail(FAIL_STATE, "a killed process of pod %s is not gone", options->pod_uid);
        }
        sleep_milliseconds(10);
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_number(&json, "killed", (int64_t)processes.count);
    json_close(&json, '}');
    return json_finish(&json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}
