/* What an ssh-agent answers, and what a worker wants it to sign: the first byte says which parser
 * reads the rest. Key files and certificates, which come from the user, are read here too.
 */
#include <stdint.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "controller/agent/agent_msg.h"
#include "controller/ssh/key_blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_identities(const uint8_t *p, size_t n)
{
    struct agent_identities ids;
    if (agent_msg_get_identities(&ids, p, n, NULL) != RC_OK)
        must(ids.count == 0);
    for (size_t i = 0; i < ids.count; i++) {
        must(ids.items[i].len > 4 && ids.items[i].len <= AGENT_MAX_BLOB);
        for (const char *c = ids.items[i].comment; *c != '\0'; c++)
            must((unsigned char)*c >= ' ' && *c != 0x7f);
    }
    agent_identities_fini(&ids);
}

static void try_signature(const uint8_t *p, size_t n)
{
    const void *sig;
    size_t len;
    if (agent_msg_get_signature(p, n, &sig, &len, NULL) == RC_OK)
        must(len <= AGENT_MAX_SIGNATURE && (const uint8_t *)sig + len <= p + n);
    must(agent_msg_length(p, n) <= AGENT_MAX_ANSWER + 4);
}

/* The key that the request names is the one it must be for; of any other it must be refused. */
static void try_login(const uint8_t *p, size_t n)
{
    struct blob_reader r = {p, n};
    const uint8_t *key;
    size_t len;
    uint32_t flags;
    if (!blob_string(&r, &key, &len))
        return;
    if (agent_check_login(r.p, r.n, "me", key, len, &flags, NULL) != RC_OK)
        return;
    must(flags == 0 || flags == 2 || flags == 4);
    must(r.n > len && memcmp(r.p + r.n - len, key, len) == 0);
    must(agent_check_login(r.p, r.n, "you", key, len, &flags, NULL) == RC_PROTO);
    must(agent_check_login(r.p, r.n - 1, "me", key, len, &flags, NULL) == RC_PROTO);
}

static void try_cert(const uint8_t *p, size_t n)
{
    struct key_cert c;
    struct buf plain;
    char text[128], type[KEY_BLOB_TYPE];
    buf_init(&plain, 2 * KEY_BLOB_MAX);
    if (n <= KEY_BLOB_MAX && key_cert_parse(&c, &plain, p, n, NULL) == RC_OK) {
        must(key_blob_type(type, plain.data, plain.len) && !key_type_is_cert(type));
        must(plain.len < n);
        (void)key_cert_fault(&c, 1700000000, text, sizeof text);
    }
    buf_fini(&plain);
}

static void try_file(const uint8_t *p, size_t n)
{
    struct buf blob;
    char *text = mem_strndup((const char *)p, n);
    must(text != NULL);
    buf_init(&blob, 1024 * 1024);
    (void)key_blob_of_private(&blob, text, NULL);
    if (key_blob_of_line(&blob, text, NULL) == RC_OK)
        must(blob.len > 4 && blob.len <= KEY_BLOB_MAX);
    buf_fini(&blob);
    mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 5) {
    case 0: try_identities(data + 1, size - 1); break;
    case 1: try_signature(data + 1, size - 1); break;
    case 2: try_login(data + 1, size - 1); break;
    case 3: try_cert(data + 1, size - 1); break;
    default: try_file(data + 1, size - 1); break;
    }
    return 0;
}
