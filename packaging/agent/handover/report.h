/* The commands that only look: check, list, status. Each prints its answer. */
#pragma once

#include "base/options.h"

int report_check(const struct options *options);
int report_list(const struct options *options);
int report_status(const struct options *options);
