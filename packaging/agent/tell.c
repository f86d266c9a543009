/* A state in words, for the agent's log. */
#include "log.h"
#include "state.h"

void state_tell(const struct state *s) {
    switch (s->phase) {
    case ARMED:
        say("%s: armed, %s is kept; it comes back unless confirmed within %ld s", s->component,
            s->file, s->limit);
        break;
    case CONFIRMED:
        say("%s: confirmed, the new instance serves", s->component);
        break;
    case PUTTING_BACK:
        say("%s: putting %s back: %s", s->component, s->file, s->reason);
        break;
    case PUT_BACK:
        say("%s: %s was put back: %s", s->component, s->file, s->reason);
        break;
    case PLACED:
        say("%s: %s is placed; it goes again unless confirmed within %ld s", s->component, s->file,
            s->limit);
        break;
    case TAKING_AWAY:
        say("%s: taking %s away: %s", s->component, s->file, s->reason);
        break;
    case TAKEN_AWAY:
        say("%s: %s was taken away: %s", s->component, s->file, s->reason);
        break;
    case IDLE:
        break;
    }
}
