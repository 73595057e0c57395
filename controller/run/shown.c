/* What a host printed and what became of it, on the way to output, files and the record: the run's
 * secrets are taken out here, once, for all of them. Loop thread only. See run_internal.h.
 */
#include <stdio.h>

#include "controller/run/run_internal.h"

struct place {
    struct attempt *a;
    bool is_stderr;
};

static void hand_on(void *user, const void *p, size_t n)
{
    const struct place *to = user;
    output_data(to->a->run->output, to->a->target, to->is_stderr, p, n);
}

void shown_data(struct attempt *a, bool is_stderr, const void *p, size_t n)
{
    struct place to = {a, is_stderr};
    struct masks *masks = a->run->plan->masks;
    if (masks == NULL)
        hand_on(&to, p, n);
    else
        masks_feed(masks, &a->held[is_stderr], p, n, hand_on, &to);
}

static void hand_on_held(struct attempt *a, bool is_stderr)
{
    struct place to = {a, is_stderr};
    if (a->run->plan->masks != NULL)
        masks_end(a->run->plan->masks, &a->held[is_stderr], hand_on, &to);
}

void shown_end(struct attempt *a)
{
    hand_on_held(a, false);
    hand_on_held(a, true);
}

void shown_missing(struct attempt *a, bool is_stderr, uint64_t n)
{
    if (n == 0)
        return;
    hand_on_held(a, is_stderr);
    output_skipped(a->run->output, a->target, is_stderr, n);
}

void shown_drop(struct attempt *a)
{
    masks_drop(&a->held[0]);
    masks_drop(&a->held[1]);
}

/* A sealed user or address is a secret as well; and a server may put anything into its banner. */
void shown_result(const struct run *r, struct output_result *res, struct shown_texts *t)
{
    struct masks *masks = r->plan->masks;
    if (masks == NULL)
        return;
    snprintf(t->user, sizeof t->user, "%s", res->user);
    snprintf(t->banner, sizeof t->banner, "%s", res->server_banner);
    snprintf(t->address, sizeof t->address, "%s", res->address);
    res->user = masks_text(masks, t->user, sizeof t->user);
    res->server_banner = masks_text(masks, t->banner, sizeof t->banner);
    res->address = masks_text(masks, t->address, sizeof t->address);
}
