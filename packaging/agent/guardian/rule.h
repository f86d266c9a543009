/* When the guardian puts a recovery copy in place, and when it takes it away. Pure: it is told what
 * there is, and what time it is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum guard_move { REST, PLACE, TAKE };

/* What the guardian sees of one component. Times are in milliseconds. */
struct guard_view {
    int64_t now;
    bool ours;          /* nobody else is at work on it: no hand-over, no agent that watches */
    bool is_first;      /* the API server: nothing else can be fixed before it serves */
    bool first_listens; /* somebody listens on the API server's port */
    bool copy_kept;     /* there is a copy that could be put in place */
    bool copy_in_place;
    bool static_in_place; /* the static pod that the component once was is back */
    size_t listeners;   /* sockets that listen on its port */
};

/* What it remembers of it; all zero at the start. */
struct guard_memory {
    bool heard;           /* somebody has listened since the guardian started */
    int64_t silent_since; /* nobody listens; 0: somebody does */
    int64_t beside_since; /* two listen, and the copy is in place; 0: not so */
    int64_t placed;       /* when a copy was last put in place */
    int64_t stay;         /* for how long two must listen until the copy goes */
};

enum guard_move guard_decide(struct guard_memory *memory, const struct guard_view *view);
