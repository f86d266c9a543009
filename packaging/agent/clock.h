/* Time, as the agent needs it. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Milliseconds since the machine started, suspended time included: nobody can set this clock. */
int64_t boot_milliseconds(void);

void sleep_milliseconds(int milliseconds);

enum { RFC3339_SIZE = 24 };

/* Now in UTC, e.g. 2026-11-24T06:27:14Z. */
void rfc3339_now(char out[RFC3339_SIZE]);

#endif
