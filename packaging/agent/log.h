/* The log of the agent that watches: lines with their time, on stdout. */
#ifndef LOG_H
#define LOG_H

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
