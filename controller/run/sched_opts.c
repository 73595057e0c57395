/* What a run may be asked to keep to. See sched.h. */
#include "controller/run/sched.h"

static enum rc check_waves(const struct sched_opts *o, struct err *e)
{
    if (o->wave_count > SCHED_WAVES_MAX)
        return err_set(e, RC_USAGE, "at most %d sizes of waves", SCHED_WAVES_MAX);
    for (uint32_t i = 0; i < o->wave_count; i++) {
        if (o->waves[i].n == 0)
            return err_set(e, RC_USAGE, "a wave of 0 hosts never ends; use 1 or more");
        if (o->waves[i].percent && o->waves[i].n > 100)
            return err_set(e, RC_USAGE, "a wave of %u%%; at most 100%%", o->waves[i].n);
    }
    return RC_OK;
}

enum rc sched_opts_check(const struct sched_opts *o, uint32_t targets, struct err *e)
{
    if (o->fanout == 0)
        return err_set(e, RC_USAGE, "a fan-out of 0 starts nothing; use 1 or more");
    if (o->rate != 0 && !(o->rate >= 1e-6 && o->rate <= 1e6))
        return err_set(e, RC_USAGE,
                       "the rate of logins must be between 0.000001 and 1000000 a second, or 0");
    if (o->retry_on_count > SCHED_RETRY_ON_MAX)
        return err_set(e, RC_USAGE, "at most %d causes to retry on", SCHED_RETRY_ON_MAX);
    if (o->connect_timeout_ms == 0)
        return err_set(e, RC_USAGE, "a connect timeout of 0 reaches nothing");
    if (o->max_fail_set && o->max_fail_percent && o->max_fail > 100)
        return err_set(e, RC_USAGE, "a budget of %u%% failures; at most 100%%", o->max_fail);
    if (targets == UINT32_MAX)
        return err_set(e, RC_LIMIT, "too many hosts");
    return check_waves(o, e);
}

bool sched_opts_retry(const struct sched_opts *opts, const struct outcome *o)
{
    for (uint32_t i = 0; i < opts->retry_on_count; i++) {
        const struct sched_retry_on *r = &opts->retry_on[i];
        if (r->kind == RETRY_ON_STATUS && r->value == (int)problem_status(o->problem))
            return true;
        if (r->kind == RETRY_ON_PROBLEM && r->value == (int)o->problem)
            return true;
        if (r->kind == RETRY_ON_EXIT && o->problem == PROBLEM_EXIT_NONZERO &&
            r->value == o->exit_code)
            return true;
    }
    return false;
}
