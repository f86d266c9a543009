/* The node agent of kubectl-selfhost.
 *
 * It runs on a control-plane node, in an image that holds nothing it could use, and does what must go
 * on while there is no API server: it takes a static pod's manifest away and, unless told in time
 * that the new instance serves, puts it back (serve). `order` is run beside it, in the same container,
 * for each order that it is given. `wait-port` is the init container of the DaemonSets' pods, `guard`
 * a static pod.
 *
 * base/      files, records, JSON, options: knows nothing of what the agent is for
 * node/      what is on a node: processes, sockets, ports, this program
 * handover/  a manifest goes and comes back; the dead man's switch (serve)
 * steward/   a port is shared, and its connections are steered
 * guardian/  what a node needs after a reboot
 * credentials/  certificates and keys: kept, exchanged, their public parts told, or sealed
 *
 * `order` and `version` answer with one line of JSON; the others write a log.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failure.h"
#include "base/json.h"
#include "base/options.h"
#include "base/runtime.h"
#include "credentials/credentials.h"
#include "credentials/seal.h"
#include "guardian/guard.h"
#include "guardian/recovery.h"
#include "handover/handover.h"
#include "handover/report.h"
#include "handover/serve.h"
#include "node/hello.h"
#include "node/port.h"
#include "node/process.h"
#include "steward/examine.h"
#include "steward/share.h"

enum {
    ORDER_MAX = 1 << 20, /* bytes: the largest content has half of them in hexadecimal */
    READ_LIMIT = 10000,  /* milliseconds; who gives an order waits for 15 s */
};

/* ---- the moves of a hand-over, which answer alike ---- */

typedef int (*maker)(const struct options *, struct state *, bool *already);

static int move(maker make, const struct options *options) {
    static struct state state;
    bool already = false;
    struct json json;
    if (make(options, &state, &already) != 0) {
        return -1;
    }
    answer_begin(&json);
    json_string(&json, "state", phase_word(state.phase));
    json_string(&json, "component", state.component);
    json_string(&json, "file", state.file);
    json_string(&json, "sha256", state.sha256);
    json_string(&json, "reason", state.reason);
    json_bool(&json, "already", already);
    return answer_end(&json);
}

static int hold(const struct options *options) {
    return handover_hold(options) == 0 ? answer_string("held", options->component) : -1;
}

/* ---- which orders there are ---- */

struct command {
    const char *name;
    const char *needed;
    const char *allowed;
    int (*run)(const struct options *);
    maker make; /* instead of `run`: it makes a move of a hand-over */
};

/* Each needs `order` and `dir` as well, and may have `proc`. The last one has no name. */
static const struct command orders[] = {
    {"check", "manifests", "", report_check, NULL},
    {"list", "", "manifests", report_list, NULL},
    {"status", "", "", report_status, NULL},
    {"hold", "component", "", hold, NULL},
    {"arm", "manifests component file sha256 limit port",
     "listen_limit static_uid instance_uids log_dir container", NULL, handover_arm},
    {"place", "manifests component file content sha256 limit port", "", NULL, handover_place},
    {"exchange", "manifests component file sha256 former limit port static_uid", "", NULL,
     handover_place},
    {"confirm", "component", "", NULL, handover_confirm},
    {"put-back", "component reason", "manifests", NULL, handover_put_back},
    {"can-share", "port pod_uid", "instance_uids", examine_answer, NULL},
    {"share", "component port pod_uid way", "instance_uids probe_address", share, NULL},
    {"release", "component", "", release, NULL},
    {"steer", "component", "", steer, NULL},
    {"unshare", "component", "instance_uids log_dir", unshare_port, NULL},
    {"kill", "pod_uid", "by_name", kill_servers, NULL},
    {"store", "file content", "", recovery_store, NULL},
    {"install", "manifests content sha256", "", recovery_install, NULL},
    {"disable", "manifests", "", recovery_disable, NULL},
    {"clear", "manifests", "", recovery_clear, NULL},
    {"tidy", "", "keep_backups", tidy, NULL},
    {"certificates", "files", "from", credentials_certificates, NULL},
    {"copy", "files", "from to link", credentials_copy, NULL},
    {"holds", "files content", "from", credentials_holds, NULL},
    {"sets", "", "", credentials_sets, NULL},
    {"drop", "from", "", credentials_drop, NULL},
    {"seal", "files reason key", "", seal_file, NULL},
    {"unseal", "files content key to", "", seal_open, NULL},
    {"hello", "address port content", "", hello_answer, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct command *command_named(const struct command *list, const char *name) {
    while (list->name != NULL && strcmp(list->name, name) != 0) {
        list++;
    }
    return list->name != NULL ? list : NULL;
}

/* ---- taking an order ---- */

static int wait_for_input(int64_t end) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int64_t left = end - boot_milliseconds();
    int ready = left > 0 ? poll(&input, 1, (int)left) : 0;
    if (ready < 0 && errno == EINTR) {
        return 0;
    }
    return ready > 0 ? 0
                     : fail(FAIL_USAGE, "no whole order came within %d s", READ_LIMIT / 1000);
}

/* The line "end=1" is the end of the order: the exec protocol before v5.channel.k8s.io (Kubernetes 1.30)
 * cannot close the input of a command. The time limit ends a command whose client is gone. */
static int read_order(char *text) {
    static const char last[] = "\nend=1\n";
    int64_t end = boot_milliseconds() + READ_LIMIT;
    size_t length = 0, tail = sizeof last - 1;
    while (length < ORDER_MAX - 1) {
        if (wait_for_input(end) != 0) {
            return -1;
        }
        ssize_t count = read(STDIN_FILENO, text + length, ORDER_MAX - 1 - length);
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (count <= 0) {
            return count < 0 ? fail_errno("read", "the order")
                             : fail(FAIL_USAGE, "the order ended before its last line");
        }
        length += (size_t)count;
        text[length] = '\0';
        if (length >= tail && memcmp(text + length - tail, last, tail) == 0) {
            return 0;
        }
    }
    return fail(FAIL_USAGE, "the order is larger than %d bytes", ORDER_MAX - 1);
}

static int check(const struct command *command, const struct options *order) {
    char needed[256], allowed[256];
    snprintf(needed, sizeof needed, "order dir %s", command->needed);
    snprintf(allowed, sizeof allowed, "proc %s", command->allowed);
    return options_check(order, command->name, needed, allowed);
}

static int take_order(const struct options *options) {
    static char text[ORDER_MAX];
    static struct options order;
    (void)options;
    if (read_order(text) != 0 || options_read_order(&order, text) != 0) {
        return -1;
    }
    if (order.order == NULL) {
        return fail(FAIL_USAGE, "the order has no name: it needs order=");
    }
    const struct command *command = command_named(orders, order.order);
    if (command == NULL) {
        return fail(FAIL_USAGE, "there is no order '%.60s'", order.order);
    }
    if (check(command, &order) != 0) {
        return -1;
    }
    contact_touch(order.dir);
    return command->make != NULL ? move(command->make, &order) : command->run(&order);
}

/* ---- which commands there are ---- */

static int version(const struct options *options) {
    (void)options;
    return answer_string("version", AGENT_VERSION);
}

static const struct command commands[] = {
    {"order", "", "", take_order, NULL},
    {"serve", "dir manifests", "idle proc", serve, NULL},
    {"guard", "dir manifests", "proc", guard, NULL},
    {"wait-port", "port", "address hold user", port_wait, NULL},
    {"version", "", "", version, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static int run(int count, char **words) {
    struct options options;
    if (count < 2) {
        return fail(FAIL_USAGE, "which command? One of order, serve, guard, wait-port, version");
    }
    const struct command *command = command_named(commands, words[1]);
    if (command == NULL) {
        return fail(FAIL_USAGE, "there is no command '%.60s'", words[1]);
    }
    if (options_read_words(&options, count - 2, words + 2) != 0 ||
        options_check(&options, command->name, command->needed, command->allowed) != 0) {
        return -1;
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
    answer_begin(&json);
    json_string(&json, "error", failure_text());
    json_string(&json, "code", failure_code());
    answer_end(&json);
    return 1;
}
