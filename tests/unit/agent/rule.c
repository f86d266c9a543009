/* Asks the guardian's rule, a line for each look: "<seconds> <flags> <listeners>", where the flags are
 * letters: o(urs), f(irst), l(istens: the first one), k(ept), i(n place), s(tatic in place). Answers
 * each with a word. */
#include <stdio.h>
#include <string.h>

#include "guardian/rule.h"

int main(void) {
    static const char *const words[] = {[REST] = "rest", [PLACE] = "place", [TAKE] = "take"};
    struct guard_memory memory = {.heard = false};
    long seconds;
    unsigned listeners;
    char flags[16];
    while (scanf("%ld %15s %u", &seconds, flags, &listeners) == 3) {
        struct guard_view view = {
            .now = 1000 * seconds,
            .ours = strchr(flags, 'o') != NULL,
            .is_first = strchr(flags, 'f') != NULL,
            .first_listens = strchr(flags, 'l') != NULL,
            .copy_kept = strchr(flags, 'k') != NULL,
            .copy_in_place = strchr(flags, 'i') != NULL,
            .static_in_place = strchr(flags, 's') != NULL,
            .listeners = listeners,
        };
        puts(words[guard_decide(&memory, &view)]);
        fflush(stdout);
    }
    return 0;
}
