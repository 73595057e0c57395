/* --sshfp: fingerprints in the DNS (RFC 4255, 6594, 7479). See keyscan.h.
 *
 * libresolv asks, one name at a time on each of a few threads, so that a slow name server holds up
 * only its share. An answer counts as proof only when the server says that it is authenticated (the
 * AD bit) and is on this machine: further away anybody could have set the bit. Blocks; main thread.
 */
#include "controller/keyscan/keyscan.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdatomic.h>
#include <string.h>

#include <sodium.h>

#include "common/mem.h"
#include "common/num.h"
#include "controller/hostkeys/line.h"

enum { THREADS = 32, TYPE_SSHFP = 44, DIGEST_SHA256 = 2, ANSWER_MAX = 16384, RECORDS_MAX = 32 };

struct record {
    uint8_t algorithm;
    uint8_t digest[crypto_hash_sha256_BYTES];
};

struct answer {
    bool came, authenticated;
    uint8_t count;
    struct record records[RECORDS_MAX];
};

struct asking {
    struct found *f;
    struct answer *answers; /* by host */
    const char *server;     /* "127.0.0.1" or "127.0.0.1:53", or NULL: the system's */
    atomic_uint next;
};

/* The number of RFC 4255 and its successors; 0: none. */
static uint8_t algorithm_of(const struct found_key *k)
{
    switch (line_blob_type(k->blob, k->len)) {
    case LINE_RSA: return 1;
    case LINE_ECDSA_256:
    case LINE_ECDSA_384:
    case LINE_ECDSA_521: return 3;
    case LINE_ED25519: return 4;
    default: return 0;
    }
}

bool sshfp_server(const char *text, struct sockaddr_in *out)
{
    char host[64];
    const char *colon = strchr(text, ':');
    size_t n = colon != NULL ? (size_t)(colon - text) : strlen(text);
    uint64_t port = 53;
    if (n >= sizeof host || (colon != NULL && num_u64(colon + 1, 1, 65535, &port, NULL) != RC_OK))
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static bool is_here(const struct sockaddr_in *a)
{
    return a->sin_family == AF_INET && ntohl(a->sin_addr.s_addr) >> 24 == 127;
}

/* All servers that may answer are on this machine. (libresolv keeps IPv6 ones elsewhere: then not.)
 */
static bool is_local(struct __res_state *s)
{
    bool local = s->nscount > 0;
    for (int i = 0; i < s->nscount; i++)
        local &= is_here(&s->nsaddr_list[i]);
    return local;
}

static void read_answer(const uint8_t *bytes, int len, bool local, struct answer *a)
{
    ns_msg msg;
    ns_rr rr;
    if (len < NS_HFIXEDSZ || ns_initparse(bytes, len, &msg) != 0)
        return;
    a->came = true;
    a->authenticated = local && (bytes[3] & 0x20) != 0;
    for (int i = 0; i < ns_msg_count(msg, ns_s_an) && a->count < RECORDS_MAX; i++) {
        if (ns_parserr(&msg, ns_s_an, i, &rr) != 0)
            return;
        const uint8_t *p = ns_rr_rdata(rr);
        if ((int)ns_rr_type(rr) != TYPE_SSHFP || ns_rr_rdlen(rr) != 2 + crypto_hash_sha256_BYTES ||
            p[1] != DIGEST_SHA256)
            continue;
        a->records[a->count].algorithm = p[0];
        memcpy(a->records[a->count++].digest, p + 2, crypto_hash_sha256_BYTES);
    }
}

/* An address has no records, and an alias of HostKeyAlias is no name of the DNS. */
static const char *name_of(const struct target *t)
{
    struct in6_addr any;
    const char *name = t->address;
    bool number = inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
    return number ? t->host->name : name;
}

static void *ask_all(void *user)
{
    struct asking *q = user;
    struct __res_state s;
    struct sockaddr_in server;
    uint8_t bytes[ANSWER_MAX];
    memset(&s, 0, sizeof s);
    if (res_ninit(&s) != 0)
        return NULL;
    if (q->server != NULL && sshfp_server(q->server, &server)) {
        s.nsaddr_list[0] = server;
        s.nscount = 1;
    }
    bool local = is_local(&s);
    s.options |= RES_USE_EDNS0 | RES_USE_DNSSEC | (local ? RES_TRUSTAD : 0);
    s.retrans = 2;
    s.retry = 2;
    for (uint32_t i; (i = atomic_fetch_add(&q->next, 1)) < q->f->count;) {
        if (q->f->hosts[i].key_count == 0)
            continue;
        int n = res_nquery(&s, name_of(q->f->hosts[i].target), ns_c_in, TYPE_SSHFP, bytes,
                           sizeof bytes);
        read_answer(bytes, n, local, &q->answers[i]);
    }
    res_nclose(&s);
    return NULL;
}

static void judge_key(struct found_key *k, const struct answer *a)
{
    uint8_t digest[crypto_hash_sha256_BYTES], algorithm = algorithm_of(k);
    bool about = false, same = false;
    crypto_hash_sha256(digest, k->blob, k->len);
    for (unsigned i = 0; i < a->count; i++) {
        bool its = a->records[i].algorithm == algorithm;
        about |= its;
        same |= its && memcmp(a->records[i].digest, digest, sizeof digest) == 0;
    }
    if (!about || (k->proof != PROOF_NONE && k->proof != PROOF_MISSING))
        return;
    if (a->authenticated) {
        k->proof = same ? PROOF_VERIFIED : PROOF_DENIED;
        k->by = "SSHFP, authenticated";
    } else if (k->proof == PROOF_NONE) {
        k->by = same ? "matches SSHFP, not authenticated" : "DIFFERS from SSHFP, not authenticated";
    }
}

enum rc sshfp_judge(struct found *f, const char *server, struct err *e)
{
    pthread_t threads[THREADS];
    size_t n = 0;
    struct asking q = {.f = f, .server = server};
    q.answers = mem_calloc(f->count, sizeof *q.answers);
    if (q.answers == NULL)
        return err_nomem(e);
    while (n < THREADS && n < f->count && pthread_create(&threads[n], NULL, ask_all, &q) == 0)
        n++;
    if (n == 0)
        ask_all(&q);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < f->count; i++)
        for (unsigned k = 0; k < f->hosts[i].key_count; k++)
            judge_key(&f->hosts[i].keys[k], &q.answers[i]);
    mem_free(q.answers);
    return RC_OK;
}
