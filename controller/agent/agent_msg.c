/* See agent_msg.h. */
#include "controller/agent/agent_msg.h"

#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/ssh/key_blob.h"

enum {
    FAILURE = 5,
    REQUEST_IDENTITIES = 11,
    IDENTITIES_ANSWER = 12,
    SIGN_REQUEST = 13,
    SIGN_RESPONSE = 14,
    FAILURE_OF_OLD = 30, /* ssh.com's agent */
    FAILURE_OF_OLDER = 102,
};
enum { RSA_SHA2_256 = 2, RSA_SHA2_512 = 4 };
enum { USERAUTH_REQUEST = 50, SESSION_ID_LEAST = 20, SESSION_ID_MOST = 64, MAX_COMMENT = 1024 };

void agent_identities_fini(struct agent_identities *ids)
{
    for (size_t i = 0; i < ids->count; i++) {
        mem_free(ids->items[i].blob);
        mem_free(ids->items[i].comment);
    }
    mem_free(ids->items);
    memset(ids, 0, sizeof *ids);
}

enum rc agent_msg_list(struct buf *out)
{
    static const uint8_t request[] = {0, 0, 0, 1, REQUEST_IDENTITIES};
    return buf_append(out, request, sizeof request);
}

enum rc agent_msg_sign(struct buf *out, const void *blob, size_t len, const void *data, size_t n,
                       uint32_t flags)
{
    if (len > AGENT_MAX_BLOB || n > AGENT_MAX_DATA)
        return RC_LIMIT;
    size_t size = 1 + 4 + len + 4 + n + 4;
    enum rc rc = buf_reserve(out, 4 + size);
    if (rc != RC_OK)
        return rc;
    must(blob_put_u32(out, (uint32_t)size) == RC_OK); /* the room is there */
    must(buf_putc(out, SIGN_REQUEST) == RC_OK);
    must(blob_put_string(out, blob, len) == RC_OK);
    must(blob_put_string(out, data, n) == RC_OK);
    must(blob_put_u32(out, flags) == RC_OK);
    return RC_OK;
}

long agent_msg_length(const void *p, size_t n)
{
    struct blob_reader r = {p, n};
    uint32_t len;
    if (!blob_u32(&r, &len))
        return 0;
    return len == 0 || len > AGENT_MAX_ANSWER ? -1 : (long)len + 4;
}

static enum rc open_answer(struct blob_reader *r, uint8_t want, const char *what, struct err *e)
{
    uint8_t type;
    if (!blob_u8(r, &type))
        return err_set(e, RC_PROTO, "the agent's answer is empty");
    if (type == FAILURE || type == FAILURE_OF_OLD || type == FAILURE_OF_OLDER)
        return err_set(e, RC_CANCELLED, "the agent refused %s", what);
    if (type != want)
        return err_set(e, RC_PROTO, "the agent answered with message %u, not %u", type, want);
    return RC_OK;
}

static enum rc add_identity(struct agent_identities *ids, const uint8_t *blob, size_t len,
                            const uint8_t *comment, size_t n)
{
    char text[MAX_COMMENT];
    struct agent_identity id = {.len = len};
    if (mem_grow(&ids->items, &ids->cap, ids->count + 1, sizeof *ids->items) != 0)
        return RC_NOMEM;
    str_escape_to(text, sizeof text, comment, n, 0);
    id.blob = mem_memdup(blob, len);
    id.comment = mem_strdup(text);
    if (id.blob == NULL || id.comment == NULL) {
        mem_free(id.blob);
        mem_free(id.comment);
        return RC_NOMEM;
    }
    ids->items[ids->count++] = id;
    return RC_OK;
}

static enum rc take_identities(struct agent_identities *ids, struct blob_reader *r, struct err *e)
{
    uint32_t count;
    if (!blob_u32(r, &count) || count > AGENT_MAX_IDENTITIES)
        return err_set(e, RC_PROTO, "the agent claims more than %d keys", AGENT_MAX_IDENTITIES);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *blob, *comment;
        size_t len, n;
        char type[KEY_BLOB_TYPE];
        if (!blob_string(r, &blob, &len) || !blob_string(r, &comment, &n))
            return err_set(e, RC_PROTO, "the agent's list of keys is cut short");
        if (len > AGENT_MAX_BLOB || !key_blob_type(type, blob, len) || !key_type_usable(type))
            continue;
        if (add_identity(ids, blob, len, comment, n) != RC_OK)
            return err_nomem(e);
    }
    return RC_OK;
}

enum rc agent_msg_get_identities(struct agent_identities *out, const void *p, size_t n,
                                 struct err *e)
{
    struct blob_reader r = {p, n};
    memset(out, 0, sizeof *out);
    enum rc rc = open_answer(&r, IDENTITIES_ANSWER, "to list its keys", e);
    if (rc == RC_OK)
        rc = take_identities(out, &r, e);
    if (rc != RC_OK)
        agent_identities_fini(out);
    return rc;
}

enum rc agent_msg_get_signature(const void *p, size_t n, const void **sig, size_t *len,
                                struct err *e)
{
    struct blob_reader r = {p, n};
    const uint8_t *at;
    char type[KEY_BLOB_TYPE];
    enum rc rc = open_answer(&r, SIGN_RESPONSE, "to sign", e);
    if (rc != RC_OK)
        return rc;
    if (!blob_string(&r, &at, len) || *len > AGENT_MAX_SIGNATURE || !key_blob_type(type, at, *len))
        return err_set(e, RC_PROTO, "what the agent sent is no signature");
    *sig = at;
    return RC_OK;
}

/* The signature algorithm that the request names, for a key of this type. */
static bool algorithm_flags(const char *alg, const char *type, uint32_t *flags)
{
    bool cert = key_type_is_cert(type);
    *flags = 0;
    if (!str_starts(type, "ssh-rsa"))
        return strcmp(alg, type) == 0;
    if (strcmp(alg, cert ? "rsa-sha2-512-cert-v01@openssh.com" : "rsa-sha2-512") == 0)
        *flags = RSA_SHA2_512;
    else if (strcmp(alg, cert ? "rsa-sha2-256-cert-v01@openssh.com" : "rsa-sha2-256") == 0)
        *flags = RSA_SHA2_256;
    return *flags != 0;
}

static bool is_login(struct blob_reader *r, const char *user)
{
    const uint8_t *id;
    size_t n;
    uint8_t type, has_signature;
    return blob_string(r, &id, &n) && n >= SESSION_ID_LEAST && n <= SESSION_ID_MOST &&
           blob_u8(r, &type) && type == USERAUTH_REQUEST && blob_is(r, user) &&
           blob_is(r, "ssh-connection") && blob_is(r, "publickey") && blob_u8(r, &has_signature) &&
           has_signature == 1;
}

enum rc agent_check_login(const void *data, size_t n, const char *user, const void *blob,
                          size_t blob_len, uint32_t *flags, struct err *e)
{
    struct blob_reader r = {data, n};
    const uint8_t *key;
    size_t len;
    char alg[KEY_BLOB_TYPE], type[KEY_BLOB_TYPE];
    if (!is_login(&r, user))
        return err_set(e, RC_PROTO, "what was to be signed is not this login");
    if (!key_blob_type(alg, r.p, r.n) || !blob_string(&r, &key, &len) ||
        !key_blob_type(type, blob, blob_len) || !algorithm_flags(alg, type, flags))
        return err_set(e, RC_PROTO, "a signature of a kind that is not used here was to be made");
    if (!blob_string(&r, &key, &len) || len != blob_len || memcmp(key, blob, len) != 0 || r.n != 0)
        return err_set(e, RC_PROTO, "the login that was to be signed is for another key");
    return RC_OK;
}
