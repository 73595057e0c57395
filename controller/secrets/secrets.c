/* See secrets.h. Texts stand one behind the other in blocks: a block of its own for each of ten
 * thousand passwords would use up the pages and mappings that a process may have. */
#include "controller/secrets/secrets.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <sodium.h>

#include "common/map.h"
#include "common/mem.h"

enum { BLOCK = 16 * 1024 };

struct entry {
    const char *text; /* in a block, terminated */
    size_t len;
};

struct secrets {
    struct entry *entries; /* number - 1 */
    size_t count, cap;
    char **blocks;
    size_t block_count, block_cap;
    size_t used;        /* of the last block */
    struct map numbers; /* text to its number, as a pointer */
};

enum rc secrets_new(struct secrets **out, struct err *e)
{
    if (sodium_init() < 0)
        return err_set(e, RC_CRYPTO, "libsodium cannot be used on this machine");
    struct secrets *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    map_init(&s->numbers);
    *out = s;
    return RC_OK;
}

void secrets_free(struct secrets *s)
{
    if (s == NULL)
        return;
    map_fini(&s->numbers); /* its keys are in the blocks */
    for (size_t i = 0; i < s->block_count; i++)
        sodium_free(s->blocks[i]); /* overwrites */
    mem_free(s->blocks);
    mem_free(s->entries);
    mem_free(s);
}

static char *room_for(struct secrets *s, size_t n)
{
    if (s->block_count > 0 && BLOCK - s->used >= n)
        return s->blocks[s->block_count - 1] + s->used;
    if (mem_grow(&s->blocks, &s->block_cap, s->block_count + 1, sizeof *s->blocks) != 0)
        return NULL;
    char *block = sodium_malloc(BLOCK);
    if (block == NULL)
        return NULL;
    s->blocks[s->block_count++] = block;
    s->used = 0;
    return block;
}

static enum rc check(const struct secrets *s, const void *text, size_t len, struct err *e)
{
    if (len == 0)
        return err_set(e, RC_USAGE, "it is empty");
    if (memchr(text, '\0', len) != NULL)
        return err_set(e, RC_USAGE, "it holds a NUL");
    if (len > SECRETS_MAX_TEXT)
        return err_set(e, RC_LIMIT, "it is longer than %d bytes", SECRETS_MAX_TEXT);
    if (s->count == SECRETS_MAX)
        return err_set(e, RC_LIMIT, "more than %d secrets", SECRETS_MAX);
    return RC_OK;
}

enum rc secrets_add(struct secrets *s, const void *text, size_t len, uint32_t *id, struct err *e)
{
    uintptr_t known = (uintptr_t)map_get(&s->numbers, text, len);
    if (known != 0) {
        *id = (uint32_t)known;
        return RC_OK;
    }
    enum rc rc = check(s, text, len, e);
    if (rc != RC_OK)
        return rc;
    if (mem_grow(&s->entries, &s->cap, s->count + 1, sizeof *s->entries) != 0)
        return err_nomem(e);
    char *place = room_for(s, len + 1);
    if (place == NULL)
        return err_nomem(e);
    memcpy(place, text, len);
    place[len] = '\0';
    /* Only now does the room count as taken. */
    if (map_put(&s->numbers, place, len, (void *)(uintptr_t)(s->count + 1), NULL) != 0) {
        sodium_memzero(place, len);
        return err_nomem(e);
    }
    s->used += len + 1;
    s->entries[s->count++] = (struct entry){place, len};
    *id = (uint32_t)s->count;
    return RC_OK;
}

const char *secrets_text(const struct secrets *s, uint32_t id, size_t *len)
{
    if (s == NULL || id == 0 || id > s->count)
        return NULL;
    if (len != NULL)
        *len = s->entries[id - 1].len;
    return s->entries[id - 1].text;
}

uint32_t secrets_count(const struct secrets *s)
{
    return s != NULL ? (uint32_t)s->count : 0;
}

void secrets_close_up(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* Copying zeros of every length uses the registers that copying secrets used, on any processor. */
void secrets_scrub(void)
{
    static uint8_t zeros[1024], more[1024];
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    for (size_t n = 1; n <= sizeof zeros; n++)
        copy(more, zeros, n);
}

bool secrets_may_send(bool unproven)
{
    return !unproven;
}
