/* Sealed texts from any bytes: header and envelope of ours, ansible-vault's form, and the search
 * for values in YAML. What is read must be exactly what would be written; nothing here derives a
 * key from a cost that a stranger chose. */
#include <stdint.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "controller/vault/doc.h"
#include "controller/vault/envelope.h"
#include "controller/vault/vault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text has one form: its bytes written again give it back. */
static void read_and_write(const char *text, size_t size)
{
    struct vault_header h;
    struct buf aad, body, again, out;
    buf_init(&aad, VAULT_MAX_TEXT);
    buf_init(&body, VAULT_MAX_TEXT);
    buf_init(&again, VAULT_MAX_TEXT);
    buf_init(&out, VAULT_MAX_TEXT);
    if (vault_read(text, size, &h, &aad, &body, NULL) == RC_OK) {
        must(h.cost.ops <= VAULT_MAX_OPS && h.cost.memory <= VAULT_MAX_MEMORY);
        must(h.is_value == (h.name[0] != '\0'));
        must(body.len >= VAULT_BLOCK + VAULT_TAG && (body.len - VAULT_TAG) % VAULT_BLOCK == 0);
        must(envelope_header(&h, &again) == RC_OK);
        must(again.len == aad.len && memcmp(again.data, aad.data, aad.len) == 0);
        must(buf_append(&again, body.data, body.len) == RC_OK);
        must(envelope_text(&again, &out) == RC_OK);
        must(out.len == size && memcmp(out.data, text, size) == 0);
    }
    buf_fini(&aad);
    buf_fini(&body);
    buf_fini(&again);
    buf_fini(&out);
}

/* The input as the bytes inside: what is read past the base64. */
static void read_bytes(const uint8_t *data, size_t size)
{
    struct buf bytes, text;
    buf_init(&bytes, VAULT_MAX_TEXT);
    buf_init(&text, VAULT_MAX_TEXT);
    if (buf_append(&bytes, data, size) == RC_OK && envelope_text(&bytes, &text) == RC_OK)
        read_and_write((const char *)text.data, text.len);
    buf_fini(&bytes);
    buf_fini(&text);
}

static void open_ansible(const char *text, size_t size)
{
    struct secret *key, *plain = NULL;
    struct vault *v = NULL;
    if (!vault_is_ansible(text, size) || secret_copy(&key, "fuzz", 4, NULL) != RC_OK ||
        vault_new(&v, key, NULL) != RC_OK)
        return;
    (void)vault_open_ansible(v, text, size, &plain, NULL);
    secret_free(plain);
    vault_free(v);
}

static void search(const char *text, size_t size)
{
    struct doc d;
    struct buf out;
    buf_init(&out, VAULT_MAX_TEXT);
    if (doc_parse(&d, text, size, NULL) == RC_OK) {
        struct buf *fresh = mem_calloc(d.count + 1, sizeof *fresh);
        must(fresh != NULL && doc_render(&d, fresh, &out, NULL) == RC_OK);
        must(out.len == size && (size == 0 || memcmp(out.data, text, size) == 0));
        for (size_t i = 0; i < d.count; i++)
            must(d.spans[i].start <= d.spans[i].end && d.spans[i].end <= size);
        mem_free(fresh);
    }
    doc_fini(&d);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t live = mem_live();
    const char *text = (const char *)data;
    read_and_write(text, size);
    read_bytes(data, size);
    open_ansible(text, size);
    search(text, size);
    must(mem_live() == live);
    return 0;
}
