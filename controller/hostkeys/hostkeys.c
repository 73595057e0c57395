/* See hostkeys.h: the questions. What decides is the order of ssh: revoked, then known, then
 * changed, other, CA only, unknown.
 *
 * A name is known plainly (a map), by a pattern (a list, short in practice) or by a hash (a line
 * must be tried). The first pass looks only at what holds the presented key: that is all a known
 * host costs. Only a host that is not known so is looked for by name on every line. */
#include "controller/hostkeys/hostkeys.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "controller/hostkeys/index.h"

enum { QUICK_HASHED = 512 }; /* hashed lines a quick check may try: some 30 microseconds */

struct question {
    char name[HOSTKEYS_MAX_NAME + 16];
    size_t len;
    bool have_query;
    struct hmac_query query; /* set when the first hashed line is met */
    uint32_t key;            /* in keys, or INDEX_NONE */
    enum line_type type;
    size_t budget; /* hashed lines that may still be tried */
    bool spent;    /* the budget did not do */
};

struct finding {
    uint32_t match, revoked, changed, other, ca,
        expired;    /* the first line of the sort, or INDEX_NONE */
    uint32_t types; /* bit per line_type on record */
};

size_t index_name_form(char *dst, size_t cap, const char *host, uint16_t port)
{
    if (strnlen(host, HOSTKEYS_MAX_NAME + 1) > HOSTKEYS_MAX_NAME)
        return 0;
    int n = port == 22 || port == 0 ? snprintf(dst, cap, "%s", host)
                                    : snprintf(dst, cap, "[%s]:%u", host, port);
    if (n <= 0 || (size_t)n >= cap)
        return 0;
    for (char *p = dst; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return (size_t)n;
}

static bool question_init(struct question *q, const struct hostkeys *hk, const char *host,
                          uint16_t port, const char *key_type, const void *blob, size_t blob_len,
                          size_t budget)
{
    q->len = index_name_form(q->name, sizeof q->name, host, port);
    q->have_query = false;
    q->budget = budget;
    q->spent = false;
    uintptr_t found = (uintptr_t)map_get(&hk->key_by_blob, blob, blob_len);
    q->key = found ? (uint32_t)(found - 1) : INDEX_NONE;
    q->type = line_type_of(key_type, strlen(key_type));
    return q->len > 0;
}

static const struct hmac_query *query_of(struct question *q)
{
    if (!q->have_query)
        hmac_query_init(&q->query, q->name, q->len);
    q->have_query = true;
    return &q->query;
}

/* Tries one line that is not in the map of names. */
static bool line_names(const struct hostkeys *hk, struct question *q, uint32_t number)
{
    const struct index_line *line = &hk->lines[number];
    if (line->hashed) {
        const struct hmac_line *h = &hk->hashed[line->ref];
        return hmac_match(query_of(q), &h, 1) != 0;
    }
    const struct index_pattern *p = &hk->patterns[line->ref];
    return line_list_matches(p->text, p->len, q->name, q->len);
}

static uint32_t first_of_list(const struct hostkeys *hk, struct question *q,
                              const struct index_list *list)
{
    uint32_t i = list->first;
    while (i != INDEX_NONE && !line_names(hk, q, i))
        i = hk->lines[i].next;
    return i;
}

/* The hashed lines that hold the key, from where the last look-up ended, once around. */
static uint32_t first_of_hashed(const struct hostkeys *hk, struct question *q,
                                struct index_key *key)
{
    if (key->hashed.first == INDEX_NONE)
        return INDEX_NONE;
    uint32_t start = atomic_load_explicit(&key->hashed_resume, memory_order_relaxed);
    if (start == INDEX_NONE)
        start = key->hashed.first;
    uint32_t at = start;
    bool around = false;
    while (!around) {
        const struct hmac_line *lanes[HMAC_LANES];
        uint32_t numbers[HMAC_LANES];
        size_t n = 0;
        while (n < HMAC_LANES && !around) {
            numbers[n] = at;
            lanes[n++] = &hk->hashed[hk->lines[at].ref];
            at = hk->lines[at].next != INDEX_NONE ? hk->lines[at].next : key->hashed.first;
            around = at == start;
        }
        if (q->budget < n) {
            q->spent = true;
            return INDEX_NONE;
        }
        q->budget -= n;
        unsigned hits = hmac_match(query_of(q), lanes, n);
        if (hits != 0) {
            uint32_t found = numbers[__builtin_ctz(hits)];
            atomic_store_explicit(&key->hashed_resume, found, memory_order_relaxed);
            return found;
        }
    }
    return INDEX_NONE;
}

static uint32_t first_plain(const struct hostkeys *hk, const struct question *q)
{
    uintptr_t found = (uintptr_t)map_get(&hk->name_by_text, q->name, q->len);
    return found ? (uint32_t)(found - 1) : INDEX_NONE;
}

static uint32_t find_match(const struct hostkeys *hk, struct question *q)
{
    if (q->key == INDEX_NONE)
        return INDEX_NONE;
    uint32_t i = first_plain(hk, q);
    while (i != INDEX_NONE && hk->lines[hk->names[i].line].key != q->key)
        i = hk->names[i].next;
    if (i != INDEX_NONE)
        return hk->names[i].line;
    struct index_key *key = &hk->keys[q->key];
    uint32_t line = first_of_list(hk, q, &key->patterns);
    return line != INDEX_NONE ? line : first_of_hashed(hk, q, key);
}

static uint32_t find_revoked(const struct hostkeys *hk, struct question *q)
{
    return q->key == INDEX_NONE ? INDEX_NONE : first_of_list(hk, q, &hk->keys[q->key].revoked);
}

/* Files a line that names the host but holds another key. */
static void consider(const struct hostkeys *hk, const struct question *q, struct finding *f,
                     uint32_t line)
{
    enum line_type type = (enum line_type)hk->keys[hk->lines[line].key].type;
    uint32_t *slot = type == q->type ? &f->changed : &f->other;
    if (*slot == INDEX_NONE || line < *slot)
        *slot = line;
    f->types |= 1u << type;
}

static void consider_cheap(const struct hostkeys *hk, struct question *q, struct finding *f)
{
    for (uint32_t i = first_plain(hk, q); i != INDEX_NONE; i = hk->names[i].next)
        consider(hk, q, f, hk->names[i].line);
    for (size_t i = 0; i < hk->patterns_len; i++) {
        const struct index_pattern *p = &hk->patterns[i];
        if (p->line != INDEX_NONE && line_list_matches(p->text, p->len, q->name, q->len))
            consider(hk, q, f, p->line);
    }
}

static void consider_hashed(const struct hostkeys *hk, struct question *q, struct finding *f)
{
    for (size_t at = 0; at < hk->hashed_len; at += HMAC_LANES) {
        size_t n = hk->hashed_len - at < HMAC_LANES ? hk->hashed_len - at : HMAC_LANES;
        const struct hmac_line *lanes[HMAC_LANES];
        for (size_t i = 0; i < n; i++)
            lanes[i] = &hk->hashed[at + i];
        for (unsigned hits = hmac_match(query_of(q), lanes, n); hits != 0; hits &= hits - 1) {
            uint32_t line = hk->hashed_owner[at + (size_t)__builtin_ctz(hits)];
            if (line != INDEX_NONE)
                consider(hk, q, f, line);
        }
    }
}

/* Who names the host, if not with this key? A changed key is not looked for any further: nothing
 * a hashed line says could alter the answer. */
static void find_others(const struct hostkeys *hk, struct question *q, struct finding *f)
{
    consider_cheap(hk, q, f);
    if (f->changed == INDEX_NONE) {
        if (hk->hashed_len > q->budget) {
            q->spent = true;
            return;
        }
        consider_hashed(hk, q, f);
    }
    for (size_t i = 0; f->types == 0 && f->ca == INDEX_NONE && i < hk->ca_len; i++)
        if (line_names(hk, q, hk->ca[i]))
            f->ca = hk->ca[i];
    for (size_t i = 0; f->types == 0 && f->expired == INDEX_NONE && i < hk->expired_len; i++)
        if (line_names(hk, q, hk->expired[i]))
            f->expired = hk->expired[i];
}

static void write_types(uint32_t types, char *dst, size_t cap)
{
    size_t len = 0;
    dst[0] = '\0';
    for (int t = LINE_TYPE_NONE + 1; t < LINE_TYPE_COUNT; t++) {
        if (!(types & 1u << t))
            continue;
        const char *name = line_type_name((enum line_type)t);
        size_t need = strlen(name) + (len > 0);
        if (len + need >= cap)
            return;
        len += (size_t)snprintf(dst + len, cap - len, "%s%s", len > 0 ? "," : "", name);
    }
}

static void answer(const struct hostkeys *hk, enum hostkeys_verdict verdict, uint32_t line,
                   uint32_t types, struct hostkeys_answer *out)
{
    *out = (struct hostkeys_answer){.verdict = verdict};
    if (line == INDEX_NONE)
        return;
    const struct index_line *l = &hk->lines[line];
    out->until = l->until;
    snprintf(out->where, sizeof out->where, "%s:%u", hk->files[l->file].name, l->number);
    write_types(types, out->types, sizeof out->types);
    if (verdict == HOSTKEYS_CHANGED)
        hostkeys_fingerprint(out->recorded, hk->keys[l->key].blob, hk->keys[l->key].len);
}

static void conclude(const struct hostkeys *hk, const struct finding *f,
                     struct hostkeys_answer *out)
{
    if (f->revoked != INDEX_NONE)
        answer(hk, HOSTKEYS_REVOKED, f->revoked, 0, out);
    else if (f->match != INDEX_NONE)
        answer(hk, HOSTKEYS_MATCH, f->match, 0, out);
    else if (f->changed != INDEX_NONE)
        answer(hk, HOSTKEYS_CHANGED, f->changed, f->types, out);
    else if (f->other != INDEX_NONE)
        answer(hk, HOSTKEYS_OTHER, f->other, f->types, out);
    else if (f->expired != INDEX_NONE)
        answer(hk, HOSTKEYS_EXPIRED, f->expired, 0, out);
    else if (f->ca != INDEX_NONE)
        answer(hk, HOSTKEYS_CA_ONLY, f->ca, 0, out);
    else
        answer(hk, HOSTKEYS_UNKNOWN, INDEX_NONE, 0, out);
}

/* Revoked, or known: what the presented key alone can tell. plain: the question without its port,
 * when it has one. ssh takes a key on record for the plain name when [host]:port is not known. */
static void look(const struct hostkeys *hk, struct question *q, struct question *plain,
                 struct finding *f)
{
    f->revoked = find_revoked(hk, q);
    if (f->revoked == INDEX_NONE && plain != NULL)
        f->revoked = find_revoked(hk, plain);
    if (f->revoked != INDEX_NONE)
        return;
    f->match = find_match(hk, q);
    if (f->match != INDEX_NONE || q->spent)
        return;
    find_others(hk, q, f);
    if (q->spent || f->types != 0 || plain == NULL)
        return;
    plain->budget = q->budget;
    f->match = find_match(hk, plain);
    q->spent = plain->spent;
}

static bool check(const struct hostkeys *hk, const char *host, uint16_t port, const char *key_type,
                  const void *blob, size_t blob_len, size_t budget, struct hostkeys_answer *out)
{
    struct finding f = {INDEX_NONE, INDEX_NONE, INDEX_NONE, INDEX_NONE, INDEX_NONE, INDEX_NONE, 0};
    struct question q, plain;
    bool other_port = port != 22 && port != 0;
    if (question_init(&q, hk, host, port, key_type, blob, blob_len, budget) &&
        question_init(&plain, hk, host, 22, key_type, blob, blob_len, budget))
        look(hk, &q, other_port ? &plain : NULL, &f);
    if (q.spent)
        return false;
    conclude(hk, &f, out);
    return true;
}

void hostkeys_check(const struct hostkeys *hk, const char *host, uint16_t port,
                    const char *key_type, const void *blob, size_t blob_len,
                    struct hostkeys_answer *out)
{
    check(hk, host, port, key_type, blob, blob_len, SIZE_MAX, out);
}

bool hostkeys_check_quick(const struct hostkeys *hk, const char *host, uint16_t port,
                          const char *key_type, const void *blob, size_t blob_len,
                          struct hostkeys_answer *out)
{
    return check(hk, host, port, key_type, blob, blob_len, QUICK_HASHED, out);
}

bool hostkeys_would_scan(const struct hostkeys *hk, const void *blob, size_t blob_len)
{
    if (hk->hashed_len <= QUICK_HASHED)
        return false;
    uintptr_t found = (uintptr_t)map_get(&hk->key_by_blob, blob, blob_len);
    if (found == 0)
        return true;
    /* On many hashed lines at once: a host among them may be far from where the search begins. */
    const struct index_key *key = &hk->keys[found - 1];
    size_t n = 0;
    for (uint32_t i = key->hashed.first; i != INDEX_NONE && n <= QUICK_HASHED; n++)
        i = hk->lines[i].next;
    return n > QUICK_HASHED;
}

bool hostkeys_ca(const struct hostkeys *hk, const char *host, uint16_t port, const void *blob,
                 size_t blob_len, char *where)
{
    struct question q, plain;
    if (!question_init(&q, hk, host, port, "", "", 0, 0) ||
        !question_init(&plain, hk, host, 22, "", "", 0, 0))
        return false;
    for (size_t i = 0; i < hk->ca_len; i++) {
        const struct index_line *l = &hk->lines[hk->ca[i]];
        const struct index_key *k = &hk->keys[l->key];
        if (blob != NULL && (k->len != blob_len || memcmp(k->blob, blob, blob_len) != 0))
            continue;
        if (!line_names(hk, &q, hk->ca[i]) && !line_names(hk, &plain, hk->ca[i]))
            continue;
        snprintf(where, 512, "%s:%u", hk->files[l->file].name, l->number);
        return true;
    }
    return false;
}

void hostkeys_types(const struct hostkeys *hk, const char *host, uint16_t port, char *dst,
                    size_t cap)
{
    must(cap > 0);
    struct finding f = {INDEX_NONE, INDEX_NONE, INDEX_NONE, INDEX_NONE, INDEX_NONE, INDEX_NONE, 0};
    struct question q;
    if (question_init(&q, hk, host, port, "", "", 0, 0))
        consider_cheap(hk, &q, &f);
    f.types &= ~(1u << LINE_DSS); /* no handshake can use it */
    write_types(f.types, dst, cap);
}

char *hostkeys_fingerprint(char *dst, const void *blob, size_t blob_len)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, blob, blob_len);
    memcpy(dst, "SHA256:", 7);
    sodium_bin2base64(dst + 7, 64 - 7, digest, sizeof digest,
                      sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    return dst;
}
