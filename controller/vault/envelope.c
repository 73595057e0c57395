/* The outer form of a sealed text: see vault.h and docs/vault.md. Pure; no keys here.
 *
 * There is exactly one text for given bytes, and no other is read: otherwise a character could be
 * altered without anything noticing. */
#include <string.h>

#include "common/str.h"
#include "controller/vault/envelope.h"

#define FIRST_LINE VAULT_MARK "1\n"
static const uint8_t magic[7] = {'M', 'U', 'S', 'T', 'E', 'R', 'V'};

enum { VERSION = 1, KIND_FILE = 1, KIND_VALUE = 2, KDF_ARGON2ID = 2, LINE_WIDTH = 76 };

static void put_be(uint8_t *p, uint64_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
}

static uint64_t get_be(const uint8_t *p, size_t bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | p[i];
    return n;
}

enum rc envelope_header(const struct vault_header *h, struct buf *out)
{
    uint8_t fixed[VAULT_FIXED];
    size_t name = strlen(h->name);
    memcpy(fixed, magic, sizeof magic);
    fixed[7] = VERSION;
    fixed[8] = h->is_value ? KIND_VALUE : KIND_FILE;
    fixed[9] = KDF_ARGON2ID;
    put_be(fixed + 10, name, 2);
    put_be(fixed + 12, h->cost.ops, 4);
    put_be(fixed + 16, h->cost.memory, 8);
    memcpy(fixed + 24, h->salt, VAULT_SALT);
    memcpy(fixed + 40, h->nonce, VAULT_NONCE);
    enum rc rc = buf_append(out, fixed, sizeof fixed);
    return rc == RC_OK ? buf_append(out, h->name, name) : rc;
}

enum rc envelope_text(const struct buf *bytes, struct buf *out)
{
    struct buf line;
    buf_init(&line, VAULT_MAX_TEXT);
    enum rc rc = buf_puts(out, FIRST_LINE);
    if (rc == RC_OK && bytes->len > 0)
        rc = str_base64(&line, bytes->data, bytes->len);
    for (size_t at = 0; rc == RC_OK && at < line.len; at += LINE_WIDTH) {
        size_t n = line.len - at < LINE_WIDTH ? line.len - at : LINE_WIDTH;
        rc = buf_append(out, line.data + at, n);
        if (rc == RC_OK)
            rc = buf_putc(out, '\n');
    }
    buf_fini(&line);
    return rc;
}

/* Text to bytes, and back to see that it is the one text of these bytes. */
static enum rc read_text(const char *text, size_t len, struct buf *bytes, struct err *e)
{
    static const size_t first = sizeof FIRST_LINE - 1;
    if (len > VAULT_MAX_TEXT)
        return err_set(e, RC_LIMIT, "a sealed text of more than %d bytes", VAULT_MAX_TEXT);
    if (len < first || memcmp(text, FIRST_LINE, first) != 0)
        return err_set(e, RC_PARSE, "it does not begin with the line '%s1' (another version?)",
                       VAULT_MARK);
    struct buf chars, again;
    buf_init(&chars, VAULT_MAX_TEXT);
    buf_init(&again, VAULT_MAX_TEXT);
    enum rc rc = RC_OK;
    for (size_t at = first; rc == RC_OK && at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t n = newline != NULL ? (size_t)(newline - text) - at : len - at;
        rc = buf_append(&chars, text + at, n);
        at += n + 1;
    }
    if (rc == RC_OK && chars.len == 0)
        rc = RC_PARSE;
    if (rc == RC_OK)
        rc = str_unbase64(bytes, (const char *)chars.data, chars.len);
    if (rc == RC_OK)
        rc = envelope_text(bytes, &again);
    if (rc == RC_OK && (again.len != len || memcmp(again.data, text, len) != 0))
        rc = RC_PARSE;
    buf_fini(&chars);
    buf_fini(&again);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return rc == RC_OK
               ? RC_OK
               : err_set(e, RC_PARSE, "damaged: not the lines of base64 that sealing wrote");
}

static enum rc check_cost(const struct vault_cost *c, struct err *e)
{
    if (c->ops > VAULT_MAX_OPS || c->memory > VAULT_MAX_MEMORY)
        return err_set(e, RC_LIMIT,
                       "opening it would cost %llu passes over %llu bytes; at most %d passes over "
                       "%llu bytes are done",
                       (unsigned long long)c->ops, (unsigned long long)c->memory, VAULT_MAX_OPS,
                       (unsigned long long)VAULT_MAX_MEMORY);
    if (c->ops < 1 || c->memory < 8192 || c->memory % 1024 != 0)
        return err_set(e, RC_PARSE, "damaged: its Argon2 parameters make no sense");
    return RC_OK;
}

/* Needs the whole header, with at least one block and a tag behind it. */
static enum rc read_header(const struct buf *bytes, struct vault_header *h, size_t *size,
                           struct err *e)
{
    const uint8_t *p = bytes->data;
    size_t name = bytes->len >= VAULT_FIXED ? (size_t)get_be(p + 10, 2) : 0;
    if (bytes->len < VAULT_FIXED || memcmp(p, magic, sizeof magic) != 0 || name > VAULT_MAX_NAME ||
        bytes->len < VAULT_FIXED + name + VAULT_BLOCK + VAULT_TAG ||
        (bytes->len - VAULT_FIXED - name - VAULT_TAG) % VAULT_BLOCK != 0)
        return err_set(e, RC_PARSE, "damaged: cut short, or not a sealed text");
    if (p[7] != VERSION || p[9] != KDF_ARGON2ID)
        return err_set(e, RC_PARSE,
                       "version %d with key derivation %d; this program reads version %d with %d",
                       p[7], p[9], VERSION, KDF_ARGON2ID);
    bool is_value = p[8] == KIND_VALUE;
    if ((!is_value && p[8] != KIND_FILE) || is_value != (name > 0) ||
        memchr(p + VAULT_FIXED, '\0', name) != NULL)
        return err_set(e, RC_PARSE, "damaged: neither a file nor a named value");
    *h = (struct vault_header){
        .is_value = is_value,
        .cost = {(uint32_t)get_be(p + 12, 4), get_be(p + 16, 8)},
    };
    memcpy(h->salt, p + 24, VAULT_SALT);
    memcpy(h->nonce, p + 40, VAULT_NONCE);
    memcpy(h->name, p + VAULT_FIXED, name);
    *size = VAULT_FIXED + name;
    return check_cost(&h->cost, e);
}

enum rc vault_read(const char *text, size_t len, struct vault_header *h, struct buf *aad,
                   struct buf *body, struct err *e)
{
    struct buf bytes;
    size_t size = 0;
    buf_init(&bytes, VAULT_MAX_TEXT);
    enum rc rc = read_text(text, len, &bytes, e);
    if (rc == RC_OK)
        rc = read_header(&bytes, h, &size, e);
    if (rc == RC_OK && (buf_append(aad, bytes.data, size) != RC_OK ||
                        buf_append(body, bytes.data + size, bytes.len - size) != RC_OK))
        rc = err_nomem(e);
    buf_fini(&bytes);
    return rc;
}
