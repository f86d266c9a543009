#include "clock.h"

#include <stdio.h>
#include <time.h>

int64_t boot_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_milliseconds(int milliseconds) {
    struct timespec time = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    nanosleep(&time, NULL); /* a signal ends it early, which is wanted */
}

/* Days since 1970 to a date (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"): counted from
 * 1 March of year 0, so that a leap day is a year's last. gmtime_r(3) would bring the time zones. */
static void civil_date(int64_t days, unsigned *year, unsigned *month, unsigned *day) {
    int64_t z = days + 719468;
    int64_t era = z / 146097; /* of 400 years */
    int64_t day_of_era = z % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153; /* March is 0 */
    *day = (unsigned)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (unsigned)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (unsigned)(year_of_era + era * 400 + (*month <= 2));
}

void rfc3339_now(char out[RFC3339_SIZE]) {
    int64_t now = (int64_t)time(NULL);
    unsigned seconds = (unsigned)(now % 86400), year, month, day;
    civil_date(now / 86400, &year, &month, &day);
    snprintf(out, RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", year % 10000, month % 100,
             day % 100, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
}
