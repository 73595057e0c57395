/* Which of the keys found are on record, changed or revoked. See keyscan.h. Pure but for memory. */
#include "controller/keyscan/keyscan.h"

#include <stdio.h>

/* A first answer of "unknown" says that no line names the host. Then only a revocation can be of
 * interest, and that is always told quickly; all hashed names need not be tried again. */
static void ask(const struct hostkeys *hk, const struct found_host *h, const struct found_key *k,
                bool unknown, struct hostkeys_answer *a)
{
    const struct target *t = h->target;
    uint16_t port = found_port(t);
    if (!unknown)
        hostkeys_check(hk, t->key_name, port, k->type, k->blob, k->len, a);
    else if (!hostkeys_check_quick(hk, t->key_name, port, k->type, k->blob, k->len, a))
        *a = (struct hostkeys_answer){.verdict = HOSTKEYS_UNKNOWN};
}

static enum key_state state_of(enum hostkeys_verdict v)
{
    switch (v) {
    case HOSTKEYS_MATCH: return KEY_KNOWN;
    case HOSTKEYS_REVOKED: return KEY_REVOKED;
    case HOSTKEYS_CHANGED:
    case HOSTKEYS_OTHER: return KEY_CHANGED;
    case HOSTKEYS_UNKNOWN:
    case HOSTKEYS_EXPIRED:
    case HOSTKEYS_CA_ONLY: break;
    }
    return KEY_NEW;
}

static enum rc judge_key(struct found *f, struct found_key *k, const struct hostkeys_answer *a)
{
    k->state = state_of(a->verdict);
    k->further = a->verdict == HOSTKEYS_OTHER; /* until the host's other keys are known */
    k->line_until = a->verdict == HOSTKEYS_MATCH ? a->until : 0;
    k->expired = a->verdict == HOSTKEYS_EXPIRED;
    k->where = arena_strdup(&f->arena, a->where);
    k->recorded = arena_strdup(&f->arena, a->recorded[0] != '\0' ? a->recorded : a->types);
    return k->where != NULL && k->recorded != NULL ? RC_OK : RC_NOMEM;
}

/* A key of a type that is not on record is new where the host has shown another one that is: it
 * then is the host that we know. Where it has not, it is another host. */
static void settle_further(struct found_host *h)
{
    bool known = false;
    for (unsigned i = 0; i < h->key_count; i++)
        known |= h->keys[i].state == KEY_KNOWN;
    for (unsigned i = 0; i < h->key_count; i++) {
        struct found_key *k = &h->keys[i];
        k->further = k->further && known;
        if (k->further)
            k->state = KEY_NEW;
    }
}

enum rc judge_found(struct found *f, const struct trust *t, struct err *e)
{
    for (uint32_t n = 0; n < f->count; n++) {
        struct found_host *h = &f->hosts[n];
        const struct hostkeys *hk = trust_index(t, &h->target->trust);
        bool unknown = false;
        for (unsigned i = 0; i < h->key_count; i++) {
            struct hostkeys_answer a;
            ask(hk, h, &h->keys[i], unknown, &a);
            unknown |= a.verdict == HOSTKEYS_UNKNOWN;
            if (judge_key(f, &h->keys[i], &a) != RC_OK)
                return err_nomem(e);
        }
        settle_further(h);
    }
    return RC_OK;
}
