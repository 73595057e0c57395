/* Keeps what a scan finds. See keyscan.h. Loop thread while the run goes on; bounded: a host gives
 * at most FOUND_MAX_KEYS keys, of the size that a frame may have. */
#include "controller/keyscan/keyscan.h"

#include <string.h>

#include "common/mem.h"

enum rc found_init(struct found *f, const struct target *targets, uint32_t count, struct err *e)
{
    memset(f, 0, sizeof *f);
    arena_init(&f->arena);
    f->hosts = mem_calloc(count, sizeof *f->hosts);
    if (f->hosts == NULL)
        return err_nomem(e);
    f->count = count;
    for (uint32_t i = 0; i < count; i++) {
        f->hosts[i].target = &targets[i];
        f->hosts[i].detail = f->hosts[i].address = "";
        f->hosts[i].problem = PROBLEM_NOT_STARTED_CANCEL;
    }
    return RC_OK;
}

void found_fini(struct found *f)
{
    mem_free(f->hosts);
    arena_fini(&f->arena);
    memset(f, 0, sizeof *f);
}

void found_seen(void *user, uint32_t target, const char *key_type, const void *blob, size_t len)
{
    struct found *f = user;
    struct found_host *h = &f->hosts[target];
    for (unsigned i = 0; i < h->key_count; i++)
        if (h->keys[i].len == len && memcmp(h->keys[i].blob, blob, len) == 0)
            return;
    if (h->key_count == FOUND_MAX_KEYS)
        return;
    uint8_t *copy = arena_alloc(&f->arena, len);
    const char *type = arena_strdup(&f->arena, key_type);
    if (copy == NULL || type == NULL) {
        f->nomem = true;
        return;
    }
    memcpy(copy, blob, len);
    h->keys[h->key_count++] = (struct found_key){
        .type = type, .blob = copy, .len = (uint32_t)len, .where = "", .recorded = "", .by = ""};
}

void found_ended(void *user, uint32_t target, const struct outcome *o, const char *address)
{
    struct found *f = user;
    struct found_host *h = &f->hosts[target];
    h->problem = o->problem;
    const char *detail = arena_strdup(&f->arena, o->detail);
    const char *copy = arena_strdup(&f->arena, address);
    f->nomem |= detail == NULL || copy == NULL;
    if (detail != NULL)
        h->detail = detail;
    if (copy != NULL)
        h->address = copy;
}

uint16_t found_port(const struct target *t)
{
    return t->alias ? 22 : t->port;
}

char *found_print(char *dst, const struct found_key *k)
{
    return hostkeys_fingerprint(dst, k->blob, k->len);
}

bool found_is_changed(const struct found_host *h)
{
    for (unsigned i = 0; i < h->key_count; i++)
        if (h->keys[i].state == KEY_CHANGED)
            return true;
    return false;
}

bool found_is_refused(const struct found_host *h)
{
    for (unsigned i = 0; i < h->key_count; i++)
        if (h->keys[i].state == KEY_REVOKED || h->keys[i].proof == PROOF_DENIED)
            return true;
    return false;
}

bool found_is_uncertified(const struct found_host *h)
{
    bool missing = false, good = false;
    for (unsigned i = 0; i < h->key_count; i++) {
        missing |= h->keys[i].proof == PROOF_MISSING;
        good |= h->keys[i].proof == PROOF_VERIFIED;
    }
    return missing && !good;
}
