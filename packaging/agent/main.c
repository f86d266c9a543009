/* The node agent of kubectl-selfhost.
 *
 * It runs on a control-plane node, in an image that holds nothing it could use, and does what must go
 * on while there is no API server: it takes a static pod's manifest away and, unless told in time
 * that the new instance serves, puts it back (serve). The other commands are run beside it, in the
 * same container. `wait-port` is the init container of the DaemonSets' pods, `guard` a static pod.
 *
 * Every command answers with one line of JSON, but for `wait-port`, `serve` and `guard`, which
 * write a log.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "examine.h"
#include "failure.h"
#include "guard.h"
#include "handover.h"
#include "json.h"
#include "kill.h"
#include "options.h"
#include "port.h"
#include "reach.h"
#include "recovery.h"
#include "report.h"
#include "serve.h"
#include "share.h"
#include "standstill.h"
#include "tidy.h"

static char output[8192];

/* The moves of a hand-over answer alike. */
static int move(int (*make)(const struct options *, struct state *, bool *),
                const struct options *options) {
    static struct state state;
    bool already = false;
    struct json json;
    if (make(options, &state, &already) != 0) {
        return -1;
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "state", phase_word(state.phase));
    json_string(&json, "component", state.component);
    json_string(&json, "file", state.file);
    json_string(&json, "sha256", state.sha256);
    json_string(&json, "reason", state.reason);
    json_bool(&json, "already", already);
    json_close(&json, '}');
    return json_finish(&json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}

static int arm(const struct options *options) { return move(handover_arm, options); }

static int place(const struct options *options) { return move(handover_place, options); }

static int exchange(const struct options *options) { return move(handover_exchange, options); }

static int confirm(const struct options *options) { return move(handover_confirm, options); }

static int put_back(const struct options *options) { return move(handover_put_back, options); }

static int hold(const struct options *options) {
    struct json json;
    if (handover_hold(options) != 0) {
        return -1;
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "held", options->component);
    json_close(&json, '}');
    return json_finish(&json);
}

static int write_part(const struct options *options) {
    struct json json;
    if (handover_write(options) != 0) {
        return -1;
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "written", options->file);
    json_close(&json, '}');
    return json_finish(&json);
}

static int version(const struct options *options) {
    struct json json;
    (void)options;
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "version", AGENT_VERSION);
    json_close(&json, '}');
    return json_finish(&json);
}

static const struct command {
    const char *name;
    int (*run)(const struct options *);
    unsigned needed;
    unsigned allowed;
} commands[] = {
    {"wait-port", port_wait, OPTION(PORT), OPTION(ADDRESS) | OPTION(HOLD)},
    {"serve", serve, OPTION(DIR) | OPTION(MANIFESTS), OPTION(IDLE) | OPTION(PROC)},
    {"check", report_check, OPTION(DIR) | OPTION(MANIFESTS), OPTION(BYTES)},
    {"list", report_list, 0, OPTION(DIR) | OPTION(MANIFESTS)},
    {"hold", hold, OPTION(DIR) | OPTION(COMPONENT), OPTION(MANIFESTS)},
    {"arm", arm,
     OPTION(DIR) | OPTION(MANIFESTS) | OPTION(COMPONENT) | OPTION(FILE) | OPTION(SHA256) |
         OPTION(LIMIT) | OPTION(PORT),
     OPTION(LISTEN_LIMIT) | OPTION(STATIC_UID) | OPTION(INSTANCE_UID) | OPTION(LOG_DIR) |
         OPTION(CONTAINER) | OPTION(PROC)},
    {"write", write_part,
     OPTION(DIR) | OPTION(COMPONENT) | OPTION(FILE) | OPTION(OFFSET) | OPTION(CONTENT), 0},
    {"place", place,
     OPTION(DIR) | OPTION(MANIFESTS) | OPTION(COMPONENT) | OPTION(FILE) | OPTION(SHA256) |
         OPTION(LIMIT) | OPTION(PORT),
     OPTION(PROC)},
    {"exchange", exchange,
     OPTION(DIR) | OPTION(MANIFESTS) | OPTION(COMPONENT) | OPTION(FILE) | OPTION(SHA256) |
         OPTION(FORMER) | OPTION(LIMIT) | OPTION(PORT) | OPTION(STATIC_UID),
     OPTION(PROC)},
    {"confirm", confirm, OPTION(DIR) | OPTION(COMPONENT), OPTION(MANIFESTS) | OPTION(PROC)},
    {"put-back", put_back, OPTION(DIR) | OPTION(COMPONENT) | OPTION(REASON),
     OPTION(MANIFESTS) | OPTION(PROC)},
    {"status", report_status, OPTION(DIR), OPTION(MANIFESTS) | OPTION(PROC)},
    {"can-share", examine_answer, OPTION(PORT) | OPTION(POD_UID),
     OPTION(DIR) | OPTION(INSTANCE_UID) | OPTION(PROC)},
    {"share", share,
     OPTION(DIR) | OPTION(COMPONENT) | OPTION(PORT) | OPTION(POD_UID) | OPTION(WAY),
     OPTION(INSTANCE_UID) | OPTION(PROBE_ADDRESS) | OPTION(PROC)},
    {"release", release, OPTION(DIR) | OPTION(COMPONENT), OPTION(PROC)},
    {"steer", steer, OPTION(DIR) | OPTION(COMPONENT), OPTION(PROC)},
    {"unshare", unshare_port, OPTION(DIR) | OPTION(COMPONENT),
     OPTION(INSTANCE_UID) | OPTION(LOG_DIR) | OPTION(PROC)},
    {"pause", standstill_pause, OPTION(DIR) | OPTION(COMPONENT) | OPTION(INSTANCE_UID),
     OPTION(LIMIT) | OPTION(PROC)},
    {"resume", standstill_resume, OPTION(DIR) | OPTION(COMPONENT), OPTION(PROC)},
    {"kill", kill_servers, OPTION(POD_UID), OPTION(DIR) | OPTION(PROC)},
    {"reach", reach, OPTION(ADDRESS) | OPTION(PORT) | OPTION(RATE) | OPTION(DURATION), 0},
    {"guard", guard, OPTION(DIR) | OPTION(MANIFESTS), OPTION(PROC)},
    {"store", recovery_store, OPTION(DIR) | OPTION(FILE) | OPTION(CONTENT), 0},
    {"install", recovery_install,
     OPTION(DIR) | OPTION(MANIFESTS) | OPTION(CONTENT) | OPTION(SHA256), 0},
    {"disable", recovery_disable, OPTION(DIR) | OPTION(MANIFESTS), 0},
    {"clear", recovery_clear, OPTION(DIR) | OPTION(MANIFESTS), 0},
    {"tidy", tidy, OPTION(DIR), OPTION(KEEP) | OPTION(PROC)},
    {"version", version, 0, 0},
};

static const struct command *command_named(const char *name) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static int run(int count, char **words) {
    struct options options;
    if (count < 2) {
        return fail(FAIL_USAGE, "which command? One of wait-port, serve, check, list, hold, arm, "
                                "write, place, exchange, confirm, put-back, status, can-share, share, "
                                "release, steer, unshare, pause, resume, kill, reach, guard, store, "
                                "install, disable, clear, tidy, version");
    }
    const struct command *command = command_named(words[1]);
    if (command == NULL) {
        return fail(FAIL_USAGE, "there is no command '%.60s'", words[1]);
    }
    if (options_read(&options, count - 2, words + 2, command->needed, command->allowed) != 0) {
        return -1;
    }
    if (options.dir != NULL && command->run != serve && command->run != guard) {
        contact_touch(options.dir);
    }
    return command->run(&options);
}

int main(int count, char **words) {
    struct json json;
    prctl(PR_SET_NAME, AGENT_COMM);
    umask(022); /* whatever the runtime has set; files of ours are 0600 anyway */
    if (run(count, words) == 0) {
        return 0;
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "error", failure_text());
    json_string(&json, "code", failure_code());
    json_close(&json, '}');
    json_finish(&json);
    return 1;
}
