/* What the benchmark prints: a table for people, JSON for programs. */
#ifndef SHRIKE_BENCH_REPORT_H
#define SHRIKE_BENCH_REPORT_H

#include <jansson.h>

#include "measure.h"

void report_header(const struct rig *rig);
void report_row(const struct result *r);
/* After the last row: how quiet the machine was. */
void report_footer(void);
/* New references. */
json_t *report_machine_json(const struct rig *rig);
json_t *report_row_json(const struct result *r);

#endif
