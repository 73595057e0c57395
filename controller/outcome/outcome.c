/* See outcome.h. */
#include "controller/outcome/outcome.h"

#include <string.h>

#include "common/err.h"

struct problem_row {
    const char *name;
    enum status status;
    enum retry_class retry;
    const char *text;
};

static const struct problem_row problems[PROBLEM_COUNT] = {
#define PROBLEM_ROW(code, n, s, r, t) [code] = {n, s, r, t},
    PROBLEM_TABLE(PROBLEM_ROW)
#undef PROBLEM_ROW
};

static const struct {
    const char *name;
    int bit;
} statuses[STATUS_COUNT] = {
#define STATUS_ROW(code, n, b) [code] = {n, b},
    STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};

static const char *const phases[PHASE_COUNT] = {
#define PHASE_ROW(code, n) [code] = n,
    PHASE_TABLE(PHASE_ROW)
#undef PHASE_ROW
};

void outcome_init(struct outcome *o)
{
    memset(o, 0, sizeof *o);
    o->exit_code = -1;
}

static const struct problem_row *row(enum problem p)
{
    must((unsigned)p < PROBLEM_COUNT);
    return &problems[p];
}

enum status problem_status(enum problem p)
{
    return row(p)->status;
}

enum retry_class problem_retry(enum problem p)
{
    return row(p)->retry;
}

const char *problem_name(enum problem p)
{
    return row(p)->name;
}

const char *problem_text(enum problem p)
{
    return row(p)->text;
}

const char *status_name(enum status s)
{
    must((unsigned)s < STATUS_COUNT);
    return statuses[s].name;
}

int status_exit_bit(enum status s)
{
    must((unsigned)s < STATUS_COUNT);
    return statuses[s].bit;
}

const char *phase_name(enum phase p)
{
    must((unsigned)p < PHASE_COUNT);
    return phases[p];
}

int problem_by_name(const char *name)
{
    for (int i = 1; i < PROBLEM_COUNT; i++)
        if (strcmp(problems[i].name, name) == 0)
            return i;
    return -1;
}

int status_by_name(const char *name)
{
    for (int i = 0; i < STATUS_COUNT; i++)
        if (strcmp(statuses[i].name, name) == 0)
            return i;
    return -1;
}

bool outcome_before_command(const struct outcome *o)
{
    return !o->sent && o->problem != PROBLEM_NONE &&
           problem_status(o->problem) != STATUS_NOT_STARTED &&
           problem_status(o->problem) != STATUS_CANCELLED;
}
