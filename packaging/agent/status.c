/* The command that tells where a hand-over stands. */
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "instance.h"
#include "json.h"
#include "order.h"
#include "program.h"
#include "report.h"
#include "sockets.h"
#include "standstill.h"
#include "state.h"
#include "watcher.h"

static char output[8192];

static int64_t remaining(const struct state *state) {
    int64_t left = state->deadline - boot_milliseconds();
    return (state->phase == ARMED || state->phase == PLACED) && left > 0 ? (left + 999) / 1000 : 0;
}

/* What is decided, but not done yet, is still the way it was. */
static enum phase phase_shown(enum phase phase) {
    return phase == PUTTING_BACK ? ARMED : phase == TAKING_AWAY ? PLACED : phase;
}

static void add_view(struct json *json, const char *proc, const struct state *state) {
    struct instance_view view = {0};
    if (state->phase != IDLE) {
        instance_look(proc, state, &view);
    }
    json_bool(json, "static_alive", view.static_alive);
    json_number(json, "static_servers", view.static_servers);
    json_bool(json, "listening", view.listening);
    json_number(json, "instance_processes", view.servers);
    /* The container's first start is none. */
    json_number(json, "restarts", view.starts > 1 ? view.starts - 1 : 0);
}

/* Who listens on the port that is being shared, or of the component that is armed. */
static void add_listeners(struct json *json, const char *proc, const struct state *state,
                          const struct order *order) {
    struct listeners listeners;
    struct order_view view;
    long port = order->number != 0 ? order->port : state->port;
    listeners.total = 0;
    if (port != 0) {
        listeners_find(proc, port, &listeners);
    }
    order_look(proc, order, &view);
    json_number(json, "listeners", (int64_t)listeners.total);
    json_bool(json, "old_listens", view.old_listens);
    json_bool(json, "new_listens", view.new_listens);
}

static void add_steward(struct json *json, const char *dir, const struct order *order) {
    struct progress progress = {.number = 0};
    if (order->seamless && progress_read(dir, &progress) != 0) {
        progress = (struct progress){.number = 0};
    }
    bool steered = progress.reached == STEERED && progress.number == order->number;
    json_string(json, "steward",
                progress.steward ? "watching" : steered && order->seamless ? "steered" : "none");
    json_string(json, "steward_reason", progress.reason);
}

int report_status(const struct options *options) {
    struct state state;
    struct order order;
    struct json json;
    char digest[DIGEST_SIZE];
    if (program_digest(digest) != 0 || state_read(options->dir, &state) != 0 ||
        order_read(options->dir, options->proc, &order) != 0) {
        return -1;
    }
    json_start(&json, output, sizeof output, STDOUT_FILENO);
    json_open(&json, NULL, '{');
    json_string(&json, "state", phase_word(phase_shown(state.phase)));
    json_string(&json, "component", state.component);
    json_string(&json, "file", state.file);
    json_string(&json, "sha256", state.sha256);
    json_string(&json, "reason", state.reason);
    json_string(&json, "armed_at", state.armed_at);
    json_number(&json, "remaining", remaining(&state));
    add_view(&json, options->proc, &state);
    add_steward(&json, options->dir, &order);
    add_listeners(&json, options->proc, &state, &order);
    json_bool(&json, "paused", standstill_is_on(options->dir));
    json_bool(&json, "agent_running", watcher_is_there(options->dir));
    json_string(&json, "version", AGENT_VERSION);
    json_string(&json, "program", digest);
    json_close(&json, '}');
    return json_finish(&json) == 0 ? 0 : fail(FAIL_IO, "the answer could not be written");
}
