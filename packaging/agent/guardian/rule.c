#include "guardian/rule.h"

#include "base/runtime.h"

/* All in milliseconds. */
enum {
    SILENT_AT_START = 2000, /* after a reboot there is nothing that might only be restarting */
    SILENT_FIRST = 5000,
    SILENT_OTHER = 10000,   /* a DaemonSet's pod is soon there by itself, once there is an API */
    STAY = 30000,
    STAY_FIRST = 75000,     /* an API server that can't look through the Services' addresses ends by
                               itself, a minute after its start (start-service-ip-repair-controllers) */
    STAY_MAX = 300000,
    CALM = 600000,          /* so long after the last time, the next one is a first one again */
};

/* A copy that is needed again and again stays longer each time: what it stands in for comes and goes,
 * and clients must not notice. A copy is never put in place later than it would be. */
static void lengthen_stay(struct guard_memory *memory, int64_t now) {
    bool again = memory->placed != 0 && now - memory->placed < CALM + memory->stay;
    memory->stay = again ? 2 * memory->stay : STAY;
    if (memory->stay > STAY_MAX) {
        memory->stay = STAY_MAX;
    }
    memory->placed = now;
}

enum guard_move guard_decide(struct guard_memory *memory, const struct guard_view *view) {
    int64_t wait = view->is_first ? SILENT_FIRST : SILENT_OTHER;
    memory->heard = memory->heard || view->listeners > 0;
    if (view->is_first && !memory->heard) {
        wait = SILENT_AT_START;
    }
    if (memory->stay == 0) {
        memory->stay = STAY;
    }
    int64_t stay = view->is_first && memory->stay < STAY_FIRST ? STAY_FIRST : memory->stay;
    bool wanted = view->ours && view->copy_kept && !view->copy_in_place && !view->static_in_place &&
                  (view->is_first || view->first_listens);
    int64_t silent = lasting(wanted && view->listeners == 0, &memory->silent_since, view->now);
    int64_t beside = lasting(view->ours && view->copy_in_place && view->listeners > 1,
                             &memory->beside_since, view->now);
    if (wanted && silent >= wait) {
        lengthen_stay(memory, view->now);
        memory->silent_since = 0;
        return PLACE;
    }
    if (view->ours && view->copy_in_place && (view->static_in_place || beside >= stay)) {
        memory->beside_since = 0;
        return TAKE;
    }
    return REST;
}
