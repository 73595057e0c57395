/* Steps of a scheduler by hand, and the actions they bring as text. Included by its tests. */
#ifndef TESTS_UNIT_SCHED_FIXTURE_H
#define TESTS_UNIT_SCHED_FIXTURE_H

#include <stdio.h>

#include "controller/run/sched.h"

static inline struct sched_opts defaults(void)
{
    return (struct sched_opts){.fanout = 4,
                               .retries = 2,
                               .connect_timeout_ms = 10000,
                               .backoff_base_ms = 250,
                               .backoff_max_ms = 5000,
                               .seed = 1};
}

static inline struct outcome outcome_of(enum problem p, int exit_code, bool sent)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = p;
    o.exit_code = exit_code;
    o.sent = sent;
    return o;
}

/* ---- rules by hand: steps and the actions they bring, as text ---- */

struct hand {
    struct sched *s;
    struct sched_actions acts;
    char text[4096];
};

/* "start 0#1" "go 0" "final 0" "final 3 budget" "cancel 2 cancelled" "stopped breaker" "done" */
static inline void describe(struct hand *h)
{
    size_t n = 0;
    h->text[0] = '\0';
    for (size_t i = 0; i < h->acts.count; i++) {
        const struct sched_action *a = &h->acts.items[i];
        const char *p = problem_name(a->problem), *gap = n > 0 ? ", " : "";
        char *at = h->text + n;
        size_t room = sizeof h->text - n;
        switch (a->type) {
        case SCHED_DO_START:
            n += (size_t)snprintf(at, room, "%sstart %u#%u", gap, a->target, a->attempt);
            break;
        case SCHED_DO_GO: n += (size_t)snprintf(at, room, "%sgo %u", gap, a->target); break;
        case SCHED_DO_CANCEL:
            n += (size_t)snprintf(at, room, "%scancel %u %s", gap, a->target, p);
            break;
        case SCHED_DO_FINAL:
            n += (size_t)snprintf(at, room, "%sfinal %u%s%s", gap, a->target, *p ? " " : "", p);
            break;
        case SCHED_DO_STOPPED: n += (size_t)snprintf(at, room, "%sstopped %s", gap, p); break;
        case SCHED_DO_DONE: n += (size_t)snprintf(at, room, "%sdone", gap); break;
        }
    }
}

static inline void open_hand(struct hand *h, const struct sched_opts *o, uint32_t targets)
{
    struct err e;
    enum rc rc = sched_new(&h->s, o, targets, &e);
    if (rc != RC_OK)
        fail_msg("%s", e.msg);
}

static inline void step(struct hand *h, uint64_t now, enum sched_event_type type, const char *want)
{
    struct sched_event ev = {.type = type};
    assert_int_equal(sched_step(h->s, now, &ev, &h->acts), RC_OK);
    describe(h);
    assert_string_equal(h->text, want);
}

static inline void step_of(struct hand *h, uint64_t now, enum sched_event_type type,
                           uint32_t target, const char *want)
{
    struct sched_event ev = {.type = type, .target = target};
    assert_int_equal(sched_step(h->s, now, &ev, &h->acts), RC_OK);
    describe(h);
    assert_string_equal(h->text, want);
}

static inline void end_used(struct hand *h, uint64_t now, uint32_t target, const struct outcome *o,
                            uint64_t used, const char *want)
{
    struct sched_event ev = {
        .type = SCHED_EV_FINISHED, .target = target, .outcome = o, .connect_ms_used = used};
    assert_int_equal(sched_step(h->s, now, &ev, &h->acts), RC_OK);
    describe(h);
    assert_string_equal(h->text, want);
}

static inline void end(struct hand *h, uint64_t now, uint32_t target, enum problem p,
                       const char *want)
{
    bool before = p != PROBLEM_NONE && p != PROBLEM_EXIT_NONZERO && p != PROBLEM_CONNECTION_LOST;
    struct outcome o = outcome_of(p, p == PROBLEM_NONE ? 0 : -1, !before);
    end_used(h, now, target, &o, 0, want);
}

#endif
