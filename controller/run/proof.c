/* See proof.h. A target is in one of three lists: it holds a place (in none), waits for its secret,
 * or has been decided upon and is to be told by proof_next. */
#include "controller/run/proof.h"

#include <string.h>

#include "common/map.h"
#include "common/mem.h"

struct holder {
    uint32_t target; /* also its key */
    struct trial *trial;
    bool waits;
    struct holder *next; /* of those who wait */
};

struct trial {       /* of one secret */
    uint32_t secret; /* also its key */
    bool proven;
    uint32_t refusals;
    uint32_t taken; /* places */
    struct holder *first, *last;
    bool listed; /* in p->decided */
    struct trial *next;
};

struct proof {
    uint32_t at_once, bar;
    struct map trials;     /* by secret */
    struct map holders;    /* by target */
    struct trial *decided; /* those whose waiters may have to be told */
};

enum rc proof_new(struct proof **out, uint32_t at_once, uint32_t bar, struct err *e)
{
    must(at_once >= 1);
    struct proof *p = mem_calloc(1, sizeof *p);
    if (p == NULL)
        return err_nomem(e);
    p->at_once = at_once;
    p->bar = bar;
    map_init(&p->trials);
    map_init(&p->holders);
    *out = p;
    return RC_OK;
}

static void free_values(struct map *m)
{
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(m, &i)) != NULL;)
        mem_free(entry->value);
    map_fini(m);
}

void proof_free(struct proof *p)
{
    if (p == NULL)
        return;
    free_values(&p->holders);
    free_values(&p->trials);
    mem_free(p);
}

static bool barred(const struct proof *p, const struct trial *t)
{
    return !t->proven && p->bar > 0 && t->refusals >= p->bar;
}

static struct trial *get_trial(struct proof *p, uint32_t secret)
{
    struct trial *t = map_get(&p->trials, (const char *)&secret, sizeof secret);
    if (t != NULL)
        return t;
    t = mem_calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->secret = secret;
    if (map_put(&p->trials, (const char *)&t->secret, sizeof t->secret, t, NULL) == 0)
        return t;
    mem_free(t);
    return NULL;
}

static void queue(struct trial *t, struct holder *h)
{
    h->waits = true;
    *(t->last != NULL ? &t->last->next : &t->first) = h;
    t->last = h;
}

static void unqueue(struct trial *t, struct holder *h)
{
    struct holder *before = NULL;
    for (struct holder *at = t->first; at != h; at = at->next)
        before = at;
    *(before != NULL ? &before->next : &t->first) = h->next;
    if (t->last == h)
        t->last = before;
    h->waits = false;
    h->next = NULL;
}

enum rc proof_enter(struct proof *p, uint32_t secret, uint32_t target, enum proof_answer *answer,
                    struct err *e)
{
    must(!map_has(&p->holders, (const char *)&target, sizeof target));
    struct trial *t = get_trial(p, secret);
    if (t == NULL)
        return err_nomem(e);
    *answer = barred(p, t) ? PROOF_BARRED : PROOF_GO;
    if (t->proven || *answer == PROOF_BARRED)
        return RC_OK;
    struct holder *h = mem_calloc(1, sizeof *h);
    if (h == NULL)
        return err_nomem(e);
    h->target = target;
    h->trial = t;
    if (map_put(&p->holders, (const char *)&h->target, sizeof h->target, h, NULL) != 0) {
        mem_free(h);
        return err_nomem(e);
    }
    if (t->taken < p->at_once) {
        t->taken++;
        return RC_OK;
    }
    *answer = PROOF_WAIT;
    queue(t, h);
    return RC_OK;
}

static void forget(struct proof *p, struct holder *h)
{
    map_del(&p->holders, (const char *)&h->target, sizeof h->target);
    mem_free(h);
}

void proof_leave(struct proof *p, uint32_t target, enum proof_end end)
{
    struct holder *h = map_get(&p->holders, (const char *)&target, sizeof target);
    if (h == NULL)
        return;
    struct trial *t = h->trial;
    if (h->waits) {
        unqueue(t, h);
    } else {
        t->taken--;
        t->proven |= end == PROOF_ACCEPTED;
        t->refusals += end == PROOF_REFUSED;
    }
    forget(p, h);
    if (t->first != NULL && !t->listed) {
        t->listed = true;
        t->next = p->decided;
        p->decided = t;
    }
}

bool proof_next(struct proof *p, uint32_t *target, enum proof_answer *answer)
{
    for (struct trial *t; (t = p->decided) != NULL; t->listed = false, p->decided = t->next) {
        struct holder *h = t->first;
        bool never = barred(p, t);
        if (h == NULL || (!t->proven && !never && t->taken >= p->at_once))
            continue;
        unqueue(t, h);
        *target = h->target;
        *answer = never ? PROOF_BARRED : PROOF_GO;
        if (never || t->proven)
            forget(p, h);
        else
            t->taken++;
        return true;
    }
    return false;
}

uint32_t proof_refusals(const struct proof *p, uint32_t secret)
{
    const struct trial *t = map_get(&p->trials, (const char *)&secret, sizeof secret);
    return t != NULL ? t->refusals : 0;
}
