/* known_hosts: every form of line, cross-checked with ssh-keygen, and accept-new's appending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/hostkeys/hmac.h"
#include "controller/hostkeys/hostkeys.h"
#include "controller/hostkeys/line.h"

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[0], "%s/%s", dir, name);
    return path[next];
}

/* A made-up key: well-formed on the wire, which is all known_hosts asks of it. */
struct key {
    const char *type;
    uint8_t blob[1024];
    size_t len;
    char text[1600]; /* base64 */
};

static void put_string(struct key *k, const void *p, size_t n)
{
    uint8_t head[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(k->blob + k->len, head, 4);
    memcpy(k->blob + k->len + 4, p, n);
    k->len += 4 + n;
}

static struct key make_key(const char *type, unsigned seed)
{
    struct key k = {.type = type};
    uint8_t body[300];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(0x41 + (seed * 31 + i * 7) % 50);
    put_string(&k, type, strlen(type));
    if (strcmp(type, "ssh-ed25519") == 0) {
        memcpy(body, &seed, sizeof seed);
        put_string(&k, body, 32);
    } else if (strcmp(type, "ecdsa-sha2-nistp256") == 0) {
        put_string(&k, "nistp256", 8);
        body[0] = 4;
        put_string(&k, body, 65);
    } else {
        put_string(&k, "\1\0\1", 3);
        put_string(&k, body, 256);
    }
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(str_base64(&b, k.blob, k.len), RC_OK);
    snprintf(k.text, sizeof k.text, "%s", buf_cstr(&b));
    buf_fini(&b);
    return k;
}

static struct key ed1, ed2, ed3, ec1, rsa1, rsa2;

static struct hostkeys *load(const char *text)
{
    struct hostkeys *hk = NULL;
    struct err e;
    assert_int_equal(hostkeys_new(&hk, &e), RC_OK);
    assert_int_equal(hostkeys_load_text(hk, "kh", text, strlen(text), &e), RC_OK);
    return hk;
}

static char *line(char *dst, const char *hosts, const struct key *k)
{
    snprintf(dst, 2048, "%s %s %s\n", hosts, k->type, k->text);
    return dst;
}

static enum hostkeys_verdict ask(const struct hostkeys *hk, const char *host, uint16_t port,
                                 const struct key *k, struct hostkeys_answer *out)
{
    struct hostkeys_answer quick, a;
    hostkeys_check(hk, host, port, k->type, k->blob, k->len, &a);
    if (hostkeys_check_quick(hk, host, port, k->type, k->blob, k->len, &quick)) {
        assert_int_equal(quick.verdict, a.verdict);
        assert_string_equal(quick.where, a.where);
        assert_string_equal(quick.types, a.types);
    }
    if (out != NULL)
        *out = a;
    return a.verdict;
}

struct verdict_case {
    const char *name;
    const char *text; /* $1 ed1, $2 ed2, $c ec1, $r rsa1, $s rsa2: type and key */
    const char *host;
    uint16_t port;
    const struct key *key;
    enum hostkeys_verdict want;
    const char *where;
    const char *types;
};

static const struct verdict_case cases[] = {
    {"plain", "web1 $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"case of the name", "WEB1 $1\n", "Web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"no final newline", "x $2\nweb1 $1", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:2", ""},
    {"windows lines", "x $2\r\nweb1 $1\r\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:2", ""},
    {"windows line with comment", "web1 $1 me\r\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"tabs and indent", " \tweb1\t $1\tme\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"comments count as lines", "# a\n\n  # b\nweb1 $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:4",
     ""},
    {"list", "a,web1,b $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"empty items", ",web1,,b $1\n", "b", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"second line has the key", "web1 $2\nweb1 $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:2", ""},
    {"unknown", "web2 $2\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"known for another host", "web2 $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"prefix is not the name", "web1 $1\n", "web", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"empty file", "", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"changed", "web1 $2\n", "web1", 22, &ed1, HOSTKEYS_CHANGED, "kh:1", "ssh-ed25519"},
    {"changed, other types too", "web1 $r\nweb1 $2\n", "web1", 22, &ed1, HOSTKEYS_CHANGED, "kh:2",
     "ssh-ed25519,ssh-rsa"},
    {"changed rsa beside a good ed25519", "web1 $1\nweb1 $r\n", "web1", 22, &rsa2, HOSTKEYS_CHANGED,
     "kh:2", "ssh-ed25519,ssh-rsa"},
    {"other", "web1 $r\nweb1 $c\n", "web1", 22, &ed1, HOSTKEYS_OTHER, "kh:1",
     "ecdsa-sha2-nistp256,ssh-rsa"},
    {"port", "[web1]:2222 $1\n", "web1", 2222, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"port does not match the plain name", "[web1]:2222 $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN,
     "", ""},
    {"other port", "[web1]:2223 $1\n", "web1", 2222, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"plain name vouches on another port", "web1 $1\n", "web1", 2222, &ed1, HOSTKEYS_MATCH, "kh:1",
     ""},
    {"plain name with another key says nothing", "web1 $2\n", "web1", 2222, &ed1, HOSTKEYS_UNKNOWN,
     "", ""},
    {"plain name does not overrule the port", "web1 $1\n[web1]:2222 $2\n", "web1", 2222, &ed1,
     HOSTKEYS_CHANGED, "kh:2", "ssh-ed25519"},
    {"ipv6", "2001:db8::1 $1\n", "2001:DB8::1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"ipv6 and port", "[2001:db8::1]:2222 $1\n", "2001:db8::1", 2222, &ed1, HOSTKEYS_MATCH, "kh:1",
     ""},
    {"star", "*.example.com $1\n", "a.b.example.com", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"star is not the parent", "*.example.com $1\n", "example.com", 22, &ed1, HOSTKEYS_UNKNOWN, "",
     ""},
    {"question mark", "web? $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"question mark is one", "web? $1\n", "web12", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"brackets are no class", "web[12] $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"pattern in capitals", "WEB* $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"star with port", "[*.example.com]:2222 $1\n", "a.example.com", 2222, &ed1, HOSTKEYS_MATCH,
     "kh:1", ""},
    {"star over brackets", "* $1\n", "web1", 2222, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"pattern, changed", "*.example.com $2\n", "a.example.com", 22, &ed1, HOSTKEYS_CHANGED, "kh:1",
     "ssh-ed25519"},
    {"negation after", "web*,!web1 $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"negation before", "!web1,web* $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"negation of another", "!web2,web* $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1", ""},
    {"negation with wildcard", "web1,!web* $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"negation alone names nobody", "!web2 $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"negation rules out its line only", "web*,!web1 $2\nweb1 $1\n", "web1", 22, &ed1,
     HOSTKEYS_MATCH, "kh:2", ""},
    {"revoked", "@revoked web1 $1\n", "web1", 22, &ed1, HOSTKEYS_REVOKED, "kh:1", ""},
    {"revoked beats known", "web1 $1\n@revoked * $1\n", "web1", 22, &ed1, HOSTKEYS_REVOKED, "kh:2",
     ""},
    {"revoked elsewhere", "web1 $1\n@revoked web2 $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1",
     ""},
    {"another key revoked", "web1 $1\n@revoked web1 $2\n", "web1", 22, &ed1, HOSTKEYS_MATCH, "kh:1",
     ""},
    {"revoked alone does not make known", "@revoked web1 $2\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN,
     "", ""},
    {"revoked for the plain name, on a port", "[web1]:2222 $1\n@revoked web1 $1\n", "web1", 2222,
     &ed1, HOSTKEYS_REVOKED, "kh:2", ""},
    {"ca only", "@cert-authority *.example.com $2\n", "a.example.com", 22, &ed1, HOSTKEYS_CA_ONLY,
     "kh:1", ""},
    {"the ca's key is no host key", "@cert-authority *.example.com $1\n", "a.example.com", 22, &ed1,
     HOSTKEYS_CA_ONLY, "kh:1", ""},
    {"ca and a plain line", "@cert-authority * $2\nweb1 $1\n", "web1", 22, &ed1, HOSTKEYS_MATCH,
     "kh:2", ""},
    {"ca and a changed key", "@cert-authority * $2\nweb1 $2\n", "web1", 22, &ed1, HOSTKEYS_CHANGED,
     "kh:2", "ssh-ed25519"},
    {"ca for others", "@cert-authority *.example.org $2\n", "a.example.com", 22, &ed1,
     HOSTKEYS_UNKNOWN, "", ""},
    {"unknown marker", "@nonsense web1 $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"two markers", "@revoked @revoked web1 $1\n", "web1", 22, &ed1, HOSTKEYS_UNKNOWN, "", ""},
    {"hash in the host field is no comment", "web1#x $1\n", "web1#x", 22, &ed1, HOSTKEYS_MATCH,
     "kh:1", ""},
};

/* Writes the keys in the place of their signs. */
static void expand(const char *text, char *dst, size_t cap)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        const struct key *k = NULL;
        if (*text == '$') {
            text++;
            k = *text == '1' ? &ed1 : *text == '2' ? &ed2 : *text == 'c' ? &ec1 : NULL;
            k = *text == 'r' ? &rsa1 : *text == 's' ? &rsa2 : k;
            assert_non_null(k);
        }
        if (k != NULL)
            n += (size_t)snprintf(dst + n, cap - n, "%s %s", k->type, k->text);
        else
            dst[n++] = *text;
        assert_true(n + 1 < cap);
    }
    dst[n] = '\0';
}

static void test_verdicts(void **state)
{
    (void)state;
    static char text[32768];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct verdict_case *c = &cases[i];
        expand(c->text, text, sizeof text);
        struct hostkeys *hk = load(text);
        struct hostkeys_answer a;
        ask(hk, c->host, c->port, c->key, &a);
        if (a.verdict != c->want || strcmp(a.where, c->where) != 0 ||
            strcmp(a.types, c->types) != 0)
            fail_msg("%s: verdict %d (want %d) at '%s' types '%s'", c->name, a.verdict, c->want,
                     a.where, a.types);
        hostkeys_free(hk);
    }
}

static int run(const char *fmt, ...)
{
    char cmd[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    int status = system(cmd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static char *read_file(const char *path)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

/* Does ssh-keygen find the name? It matches lines as ssh does. */
static bool keygen_finds(const char *path, const char *host, uint16_t port)
{
    if (port == 22)
        return run("ssh-keygen -F '%s' -f %s >/dev/null 2>&1", host, path) == 0;
    return run("ssh-keygen -F '[%s]:%d' -f %s >/dev/null 2>&1", host, port, path) == 0;
}

/* ssh-keygen -F answers "is there a line that names the host": so do we, by the verdict, for a key
 * that nobody has. The port's fall-back to the plain name is ssh's own, not ssh-keygen's. */
static void test_agrees_with_keygen(void **state)
{
    (void)state;
    static char text[32768];
    int compared = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct verdict_case *c = &cases[i];
        expand(c->text, text, sizeof text);
        write_file(in_dir("kh"), text);
        struct hostkeys *hk = load(text);
        struct hostkeys_answer a;
        enum hostkeys_verdict v = ask(hk, c->host, c->port, &ed3, &a);
        bool named = v != HOSTKEYS_UNKNOWN;
        /* A revoked line of another key is a line for ssh-keygen and no knowledge for us. */
        if (strstr(c->text, "@revoked") == NULL) {
            if (named != keygen_finds(in_dir("kh"), c->host, c->port))
                fail_msg("%s: ssh-keygen -F %s disagrees (verdict %d)", c->name, c->host, v);
            compared++;
        }
        hostkeys_free(hk);
    }
    assert_true(compared > 40);
}

/* What ssh-keygen -H makes of a file is answered as the file was. */
static void test_hashed_by_keygen(void **state)
{
    (void)state;
    static char text[65536];
    expand("web1 $1\nweb2,web3 $2\n[web1]:2222 $r\n2001:db8::1 $c\nMixed.Example.COM $2\n"
           "*.wild.example.com $1\n@cert-authority *.ca.example $1\n",
           text, sizeof text);
    write_file(in_dir("kh"), text);
    assert_int_equal(run("ssh-keygen -H -f %s >/dev/null 2>&1", in_dir("kh")), 0);
    char *hashed = read_file(in_dir("kh"));
    assert_non_null(strstr(hashed, "|1|"));
    assert_null(strstr(hashed, "web1"));
    struct hostkeys *hk = NULL;
    struct err e;
    assert_int_equal(hostkeys_new(&hk, &e), RC_OK);
    assert_int_equal(hostkeys_load(hk, in_dir("kh"), &e), RC_OK);
    assert_int_equal(hostkeys_skipped(hk), 0);
    assert_int_equal(hostkeys_count(hk), 8); /* -H gives each name of a list a line */
    assert_int_equal(ask(hk, "web1", 22, &ed1, NULL), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "WEB1", 22, &ed1, NULL), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "web3", 22, &ed2, NULL), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "web1", 22, &ed2, NULL), HOSTKEYS_CHANGED);
    assert_int_equal(ask(hk, "web1", 2222, &rsa1, NULL), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "web1", 2222, &ed1, NULL), HOSTKEYS_OTHER);
    assert_int_equal(ask(hk, "2001:db8::1", 22, &ec1, NULL), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "mixed.example.com", 22, &ed2, NULL), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "a.wild.example.com", 22, &ed1, NULL), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "a.ca.example", 22, &ed1, NULL), HOSTKEYS_CA_ONLY);
    assert_int_equal(ask(hk, "web9", 22, &ed1, NULL), HOSTKEYS_UNKNOWN);
    hostkeys_free(hk);
}

static void test_hmac_is_hmac(void **state)
{
    (void)state;
    char name[HMAC_MAX_NAME];
    uint8_t salt[HMAC_SALT], ours[HMAC_SALT], theirs[HMAC_SALT];
    for (size_t len = 0; len <= HMAC_MAX_NAME; len += len < 130 ? 1 : 97) {
        memset(name, 'a' + (int)(len % 26), len);
        for (size_t i = 0; i < sizeof salt; i++)
            salt[i] = (uint8_t)(len * 7 + i * 13);
        unsigned n = 0;
        assert_non_null(
            HMAC(EVP_sha1(), salt, sizeof salt, (const uint8_t *)name, len, theirs, &n));
        hmac_digest(salt, name, len, ours);
        assert_memory_equal(ours, theirs, HMAC_SALT);
        struct hmac_line lines[11];
        const struct hmac_line *p[HMAC_LANES];
        for (size_t i = 0; i < 11; i++) {
            salt[0]++;
            hmac_line_init(&lines[i], salt, theirs);
        }
        salt[0] = (uint8_t)(len * 7);
        hmac_line_init(&lines[9], salt, theirs);
        hmac_prepare(lines, 11);
        struct hmac_query q;
        hmac_query_init(&q, name, len);
        for (size_t i = 0; i < HMAC_LANES; i++)
            p[i] = &lines[i];
        assert_int_equal(hmac_match(&q, p, HMAC_LANES), 0);
        for (size_t i = 0; i < 3; i++)
            p[i] = &lines[8 + i];
        assert_int_equal(hmac_match(&q, p, 3), 2);
    }
}

static void hash_name(char *dst, size_t cap, unsigned seed, const char *name)
{
    uint8_t salt[HMAC_SALT], digest[HMAC_SALT];
    for (size_t i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)(seed >> (8 * (i % 4)) ^ i);
    hmac_digest(salt, name, strlen(name), digest);
    struct buf b;
    buf_init(&b, 256);
    assert_int_equal(buf_puts(&b, "|1|"), RC_OK);
    assert_int_equal(str_base64(&b, salt, sizeof salt), RC_OK);
    assert_int_equal(buf_putc(&b, '|'), RC_OK);
    assert_int_equal(str_base64(&b, digest, sizeof digest), RC_OK);
    snprintf(dst, cap, "%s", buf_cstr(&b));
    buf_fini(&b);
}

static void test_hashed_verdicts(void **state)
{
    (void)state;
    char h1[128], h2[128], h3[128], text[8192], at[2048];
    hash_name(h1, sizeof h1, 1, "web1");
    hash_name(h2, sizeof h2, 2, "[web1]:2222");
    hash_name(h3, sizeof h3, 3, "web2");
    size_t n = 0;
    n += (size_t)snprintf(text + n, sizeof text - n, "%s", line(at, h1, &ed1));
    n += (size_t)snprintf(text + n, sizeof text - n, "%s", line(at, h2, &rsa1));
    n += (size_t)snprintf(text + n, sizeof text - n, "@revoked %s", line(at, h3, &ed2));
    snprintf(text + n, sizeof text - n, "@cert-authority %s", line(at, h3, &ed1));
    struct hostkeys *hk = load(text);
    struct hostkeys_answer a;
    assert_int_equal(hostkeys_skipped(hk), 0);
    assert_int_equal(ask(hk, "web1", 22, &ed1, &a), HOSTKEYS_MATCH);
    assert_string_equal(a.where, "kh:1");
    assert_int_equal(ask(hk, "web1", 2222, &rsa1, &a), HOSTKEYS_MATCH);
    assert_string_equal(a.where, "kh:2");
    assert_int_equal(ask(hk, "web2", 22, &ed2, &a), HOSTKEYS_REVOKED);
    assert_string_equal(a.where, "kh:3");
    assert_int_equal(ask(hk, "web2", 22, &ed3, &a), HOSTKEYS_CA_ONLY);
    assert_string_equal(a.where, "kh:4");
    assert_int_equal(ask(hk, "web1", 22, &ed3, &a), HOSTKEYS_CHANGED);
    assert_string_equal(a.where, "kh:1");
    char fp[64];
    assert_string_equal(a.recorded, hostkeys_fingerprint(fp, ed1.blob, ed1.len));
    hostkeys_free(hk);
}

/* One key on 3,000 hashed lines: a fleet made from one image. */
static void test_cloned_key(void **state)
{
    (void)state;
    enum { LINES = 3000 };
    char *text = malloc(LINES * 256), host[32], h[128], at[2048];
    size_t n = 0;
    for (unsigned i = 0; i < LINES; i++) {
        snprintf(host, sizeof host, "node%u", i);
        hash_name(h, sizeof h, i, host);
        n += (size_t)snprintf(text + n, LINES * 256 - n, "%s", line(at, h, &ed1));
    }
    struct hostkeys *hk = load(text);
    assert_int_equal(hostkeys_count(hk), LINES);
    assert_true(hostkeys_would_scan(hk, ed1.blob, ed1.len));
    assert_true(hostkeys_would_scan(hk, ed2.blob, ed2.len));
    struct hostkeys_answer a;
    /* In the order of the file every look-up is quick, whatever the number of lines. */
    for (unsigned i = 0; i < LINES; i++) {
        snprintf(host, sizeof host, "node%u", i);
        assert_true(hostkeys_check_quick(hk, host, 22, ed1.type, ed1.blob, ed1.len, &a));
        assert_int_equal(a.verdict, HOSTKEYS_MATCH);
    }
    for (unsigned i = LINES; i > 0; i -= 250) {
        snprintf(host, sizeof host, "node%u", i - 1);
        assert_int_equal(ask(hk, host, 22, &ed1, NULL), HOSTKEYS_MATCH);
        assert_int_equal(ask(hk, host, 22, &ed2, NULL), HOSTKEYS_CHANGED);
    }
    assert_int_equal(ask(hk, "stranger", 22, &ed1, NULL), HOSTKEYS_UNKNOWN);
    assert_false(hostkeys_check_quick(hk, "stranger", 22, ed1.type, ed1.blob, ed1.len, &a));
    assert_false(hostkeys_check_quick(hk, "node1", 22, ed2.type, ed2.blob, ed2.len, &a));
    hostkeys_free(hk);
    free(text);
}

static void test_junk_is_skipped_and_counted(void **state)
{
    (void)state;
    char good[2048];
    static char text[65536];
    const char *const junk[] = {
        "web1",
        "web1 ssh-ed25519",
        "web1 ssh-ed25519 AAAA",
        "web1 ssh-ed25519 !!!!",
        "web1 1024 65537 123456789", /* protocol 1 */
        "web1 ssh-nonsense AAAAC3NzaC1lZDI1NTE5",
        "@revoked",
        "@revoked ",
        "@cert-authority web1",
        "|1|web1 ssh-ed25519 AAAA",
        "|1|AAAA|AAAA ssh-ed25519 AAAA",
        "|2|JfKTdBh7rNbXkVAQCRp4OQoPfmI=|USECr3SWf1JUPsms5AqfD5QfxkM= ssh-ed25519 AAAA",
        "\001\377\376",
    };
    size_t n = 0, count = sizeof junk / sizeof junk[0];
    for (size_t i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\n", junk[i]);
    /* The type of the line is not that of its key. */
    n += (size_t)snprintf(text + n, sizeof text - n, "web1 ssh-rsa %s\n", ed1.text);
    snprintf(text + n, sizeof text - n, "%s", line(good, "web2", &ed1));
    struct hostkeys *hk = load(text);
    assert_int_equal(hostkeys_count(hk), 1);
    assert_int_equal(hostkeys_skipped(hk), count + 1);
    assert_int_equal(ask(hk, "web1", 22, &ed1, NULL), HOSTKEYS_UNKNOWN);
    assert_int_equal(ask(hk, "web2", 22, &ed1, NULL), HOSTKEYS_MATCH);
    hostkeys_free(hk);
    /* A NUL inside a line spoils that line only. */
    static const char nul[] = "web1 ssh-ed25519 AA\0AA\n";
    struct err e;
    assert_int_equal(hostkeys_new(&hk, &e), RC_OK);
    assert_int_equal(hostkeys_load_text(hk, "kh", nul, sizeof nul - 1, &e), RC_OK);
    assert_int_equal(hostkeys_skipped(hk), 1);
    hostkeys_free(hk);
}

/* Real keys of every type ssh-keygen makes are read; a weak RSA key is refused as ssh does. */
static void test_real_keys(void **state)
{
    (void)state;
    static const char *const kinds[] = {"ed25519", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521",
                                        "rsa -b 2048"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char kind[16];
        snprintf(kind, sizeof kind, "k%zu", i);
        const char *path = in_dir(kind);
        assert_int_equal(run("ssh-keygen -q -t %s -N '' -f %s", kinds[i], path), 0);
        char text[4096], pub[300];
        snprintf(pub, sizeof pub, "%s.pub", path);
        snprintf(text, sizeof text, "web1 %s", read_file(pub));
        struct hostkeys *hk = load(text);
        assert_int_equal(hostkeys_count(hk), 1);
        char type[64], base64[3000];
        assert_int_equal(sscanf(text, "web1 %63s %2999s", type, base64), 2);
        struct buf blob;
        buf_init(&blob, 4096);
        assert_int_equal(str_unbase64(&blob, base64, strlen(base64)), RC_OK);
        struct hostkeys_answer a;
        hostkeys_check(hk, "web1", 22, type, blob.data, blob.len, &a);
        assert_int_equal(a.verdict, HOSTKEYS_MATCH);
        /* The fingerprint is ssh-keygen's. */
        char fp[64], cmd_file[256];
        snprintf(cmd_file, sizeof cmd_file, "%s/fp", dir);
        assert_int_equal(run("ssh-keygen -l -f %s > %s", pub, cmd_file), 0);
        assert_non_null(strstr(read_file(cmd_file), hostkeys_fingerprint(fp, blob.data, blob.len)));
        blob.data[blob.len - 1] ^= 1;
        hostkeys_check(hk, "web1", 22, type, blob.data, blob.len, &a);
        assert_int_equal(a.verdict, HOSTKEYS_CHANGED);
        buf_fini(&blob);
        hostkeys_free(hk);
    }
}

static void test_several_files(void **state)
{
    (void)state;
    char a[2048], b[2048];
    struct hostkeys *hk = NULL;
    struct err e;
    write_file(in_dir("f1"), line(a, "web1", &ed1));
    write_file(in_dir("f2"), line(b, "web1", &ed2));
    assert_int_equal(hostkeys_new(&hk, &e), RC_OK);
    assert_int_equal(hostkeys_load(hk, in_dir("f1"), &e), RC_OK);
    assert_int_equal(hostkeys_load(hk, in_dir("f2"), &e), RC_OK);
    assert_int_equal(hostkeys_load(hk, in_dir("absent"), &e), RC_NOTFOUND);
    assert_non_null(strstr(e.msg, "absent"));
    assert_int_equal(hostkeys_load(hk, dir, &e), RC_SYS);
    assert_int_equal(hostkeys_load(hk, "/dev/null", &e), RC_OK);
    assert_int_equal(ask(hk, "web1", 22, &ed1, NULL), HOSTKEYS_MATCH);
    struct hostkeys_answer ans;
    assert_int_equal(ask(hk, "web1", 22, &ed2, &ans), HOSTKEYS_MATCH);
    char want[300];
    snprintf(want, sizeof want, "%s:1", in_dir("f2"));
    assert_string_equal(ans.where, want);
    hostkeys_free(hk);
}

static void test_types_hint(void **state)
{
    (void)state;
    static char text[32768];
    expand("web1 $r\nweb1 $c\n*.example.com $1\n@revoked web3 $1\n@cert-authority * $1\n", text,
           sizeof text);
    struct hostkeys *hk = load(text);
    char types[256];
    hostkeys_types(hk, "web1", 22, types, sizeof types);
    assert_string_equal(types, "ecdsa-sha2-nistp256,ssh-rsa");
    hostkeys_types(hk, "a.example.com", 22, types, sizeof types);
    assert_string_equal(types, "ssh-ed25519");
    hostkeys_types(hk, "web3", 22, types, sizeof types);
    assert_string_equal(types, "");
    hostkeys_types(hk, "web1", 22, types, 22); /* what does not fit is left out whole */
    assert_string_equal(types, "ecdsa-sha2-nistp256");
    hostkeys_types(hk, "web1", 22, types, 1);
    assert_string_equal(types, "");
    hostkeys_free(hk);
}

static void test_names_out_of_bounds(void **state)
{
    (void)state;
    char text[2048], longer[4000];
    struct hostkeys *hk = load(line(text, "*", &ed1));
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(ask(hk, longer, 22, &ed1, NULL), HOSTKEYS_UNKNOWN);
    assert_int_equal(ask(hk, longer + sizeof longer - 1 - HOSTKEYS_MAX_NAME, 65535, &ed1, NULL),
                     HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "", 22, &ed1, NULL), HOSTKEYS_UNKNOWN);
    hostkeys_free(hk);
}

/* A pattern that is exponential for a naive matcher. */
static void test_pattern_is_not_exponential(void **state)
{
    (void)state;
    char name[HOSTKEYS_MAX_NAME + 1], pattern[600];
    memset(name, 'a', HOSTKEYS_MAX_NAME);
    name[HOSTKEYS_MAX_NAME] = '\0';
    for (size_t i = 0; i < 598; i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + 598, "b", 2);
    assert_false(line_list_matches(pattern, strlen(pattern), name, strlen(name)));
    pattern[598] = 'a';
    assert_true(line_list_matches(pattern, strlen(pattern), name, strlen(name)));
}

static enum rc add(struct hostkeys *hk, const char *path, const char *host, uint16_t port,
                   const struct key *k, bool hashed)
{
    struct err e;
    return hostkeys_add(hk, path, host, port, k->type, k->blob, k->len, hashed, &e);
}

static void test_add(void **state)
{
    (void)state;
    char path[256], want[8192], at[2048];
    snprintf(path, sizeof path, "%s/new/known_hosts", dir);
    struct hostkeys *hk = load("");
    assert_int_equal(add(hk, path, "Web1", 22, &ed1, false), RC_OK);
    assert_int_equal(add(hk, path, "web1", 2222, &rsa1, false), RC_OK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char folder[256];
    snprintf(folder, sizeof folder, "%s/new", dir);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    size_t n = (size_t)snprintf(want, sizeof want, "%s", line(at, "web1", &ed1));
    snprintf(want + n, sizeof want - n, "%s", line(at, "[web1]:2222", &rsa1));
    assert_string_equal(read_file(path), want);
    struct hostkeys_answer a;
    assert_int_equal(ask(hk, "web1", 22, &ed1, &a), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "web1", 2222, &rsa1, &a), HOSTKEYS_MATCH);
    snprintf(want, sizeof want, "%s:2", path);
    assert_string_equal(a.where, want);
    /* The same again writes nothing; another key, of any type, is refused. */
    assert_int_equal(add(hk, path, "web1", 22, &ed1, false), RC_OK);
    assert_int_equal(add(hk, path, "web1", 22, &ed2, false), RC_EXISTS);
    assert_int_equal(add(hk, path, "web1", 22, &rsa2, false), RC_EXISTS);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal((size_t)st.st_size, strlen(read_file(path)));
    assert_true(keygen_finds(path, "web1", 2222));
    hostkeys_free(hk);
}

static void test_add_hashed(void **state)
{
    (void)state;
    const char *path = in_dir("hashed_new");
    struct hostkeys *hk = load("");
    assert_int_equal(add(hk, path, "web1", 22, &ed1, true), RC_OK);
    assert_int_equal(add(hk, path, "web1", 2200, &ed2, true), RC_OK);
    assert_null(strstr(read_file(path), "web1"));
    assert_true(keygen_finds(path, "web1", 22));
    assert_true(keygen_finds(path, "web1", 2200));
    assert_false(keygen_finds(path, "web2", 22));
    assert_int_equal(ask(hk, "web1", 2200, &ed2, NULL), HOSTKEYS_MATCH);
    assert_int_equal(add(hk, path, "web1", 22, &ed3, true), RC_EXISTS);
    hostkeys_free(hk);
}

static void test_add_after_a_line_without_newline(void **state)
{
    (void)state;
    char at[2048];
    const char *path = in_dir("cut");
    line(at, "web1", &ed1);
    at[strlen(at) - 1] = '\0';
    write_file(path, at);
    struct hostkeys *hk = load("");
    struct err e;
    assert_int_equal(hostkeys_load(hk, path, &e), RC_OK);
    assert_int_equal(add(hk, path, "web2", 22, &ed2, false), RC_OK);
    assert_true(keygen_finds(path, "web1", 22));
    assert_true(keygen_finds(path, "web2", 22));
    hostkeys_free(hk);
}

/* Others write too: what they appended, and a file they put in its place, is read first. */
static void test_add_sees_what_others_did(void **state)
{
    (void)state;
    char at[2048];
    const char *path = in_dir("shared");
    struct hostkeys *hk = load("");
    struct err e;
    write_file(path, line(at, "web1", &ed1));
    assert_int_equal(hostkeys_load(hk, path, &e), RC_OK);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(line(at, "web2", &ed2), f);
    fclose(f);
    assert_int_equal(add(hk, path, "web2", 22, &ed3, false), RC_EXISTS);
    assert_int_equal(add(hk, path, "web2", 22, &ed2, false), RC_OK);
    assert_int_equal(hostkeys_count(hk), 2); /* the appended line alone was read */
    char other[256];
    snprintf(other, sizeof other, "%s.new", path);
    write_file(other, line(at, "web3", &ed3));
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(add(hk, path, "web3", 22, &ed1, false), RC_EXISTS);
    assert_int_equal(add(hk, path, "web4", 22, &ed1, false), RC_OK);
    /* Rewritten in place and longer than before. */
    char two[4096];
    size_t n = (size_t)snprintf(two, sizeof two, "# a comment, to shift what follows\n%s",
                                line(at, "web5", &rsa1));
    snprintf(two + n, sizeof two - n, "%s", line(at, "web6", &rsa2));
    write_file(path, two);
    assert_int_equal(add(hk, path, "web6", 22, &ed1, false), RC_EXISTS);
    assert_int_equal(add(hk, path, "web7", 22, &ed1, false), RC_OK);
    assert_true(keygen_finds(path, "web7", 22));
    hostkeys_free(hk);
}

static void test_add_refuses(void **state)
{
    (void)state;
    struct hostkeys *hk = NULL;
    static char text[32768];
    expand("@revoked * $2\n", text, sizeof text);
    hk = load(text);
    const char *path = in_dir("never");
    static const char *const names[] = {"a b", "a,b",  "*", "we?",  "!a",   "#a",
                                        "@a",  "|1|a", "",  "a\nb", "a\tb", "\x7f"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(add(hk, path, names[i], 22, &ed1, true), RC_CONFIG);
    struct key wrong = ed1;
    wrong.type = "ssh-rsa";
    assert_int_equal(add(hk, path, "web1", 22, &wrong, false), RC_CONFIG);
    wrong = ed1;
    wrong.len--;
    assert_int_equal(add(hk, path, "web1", 22, &wrong, false), RC_CONFIG);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(add(hk, path, "web1", 22, &ed2, false), RC_EXISTS);
    assert_int_equal(add(hk, in_dir("no/such/folder"), "web1", 22, &ed1, false), RC_SYS);
    assert_int_equal(add(hk, "/dev/full", "web1", 22, &ed1, false), RC_SYS);
    assert_int_equal(ask(hk, "web1", 22, &ed1, NULL), HOSTKEYS_UNKNOWN);
    /* /dev/null forgets, this run does not; and it takes any number of hosts. */
    for (int i = 0; i < HOSTKEYS_MAX_FILES + 10; i++) {
        char host[32];
        snprintf(host, sizeof host, "n%d", i);
        assert_int_equal(add(hk, "/dev/null", host, 22, &ed1, false), RC_OK);
    }
    assert_int_equal(ask(hk, "n7", 22, &ed1, NULL), HOSTKEYS_MATCH);
    hostkeys_free(hk);
}

/* Two processes learn the same 200 hosts at once. Child 0 and 1 have different keys for the odd
 * hosts, the same for the even ones; whoever is first wins, and each host has one line. */
static void add_all(int child, int start_fd, const char *path)
{
    struct hostkeys *hk = load("");
    char byte;
    if (read(start_fd, &byte, 1) != 0) /* wait for the parent to let go */
        _exit(100);
    int won = 0;
    for (unsigned i = 0; i < 200; i++) {
        char host[32];
        snprintf(host, sizeof host, "race%u", i);
        struct key k = make_key("ssh-ed25519", i % 2 ? 1000 + i * 2 + (unsigned)child : 1000 + i);
        enum rc rc = add(hk, path, host, 22, &k, i % 3 == 0);
        if (rc != RC_OK && rc != RC_EXISTS)
            _exit(101);
        won += i % 2 == 1 && rc == RC_OK;
    }
    hostkeys_free(hk);
    _exit(won);
}

static void test_two_processes_race(void **state)
{
    (void)state;
    const char *path = in_dir("race");
    int start[2];
    pid_t pids[2];
    assert_int_equal(pipe(start), 0);
    for (int c = 0; c < 2; c++) {
        pids[c] = fork();
        assert_true(pids[c] >= 0);
        if (pids[c] == 0) {
            close(start[1]);
            add_all(c, start[0], path);
        }
    }
    close(start[0]);
    close(start[1]);
    int won = 0;
    for (int c = 0; c < 2; c++) {
        int status;
        assert_int_equal(waitpid(pids[c], &status, 0), pids[c]);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) <= 100);
        won += WEXITSTATUS(status);
    }
    assert_int_equal(won, 100); /* each odd host was won by exactly one */
    struct hostkeys *hk = load("");
    struct err e;
    assert_int_equal(hostkeys_load(hk, path, &e), RC_OK);
    assert_int_equal(hostkeys_count(hk), 200);
    assert_int_equal(hostkeys_skipped(hk), 0);
    hostkeys_free(hk);
}

/* Every allocation fails once, in loading, asking and adding. */
static void test_allocation_failures(void **state)
{
    (void)state;
    static char text[65536];
    char h[128], at[2048];
    hash_name(h, sizeof h, 9, "hashed1");
    expand("web1,web2 $1\n*.x $2\n@revoked * $r\n@cert-authority *.ca $1\n", text, sizeof text);
    strncat(text, line(at, h, &ed2), sizeof text - strlen(text) - 1);
    size_t before = mem_live();
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct hostkeys *hk = NULL;
        struct err e;
        char path[256];
        snprintf(path, sizeof path, "%s/alloc", dir);
        unlink(path);
        mem_fail_after(n);
        enum rc rc = hostkeys_new(&hk, &e);
        if (rc == RC_OK)
            rc = hostkeys_load_text(hk, "kh", text, strlen(text), &e);
        if (rc == RC_OK)
            rc = hostkeys_add(hk, path, "new1", 22, ed3.type, ed3.blob, ed3.len, true, &e);
        if (rc == RC_OK)
            rc = hostkeys_add(hk, path, "new2", 22, ec1.type, ec1.blob, ec1.len, false, &e);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        if (rc == RC_OK) {
            assert_int_equal(ask(hk, "new2", 22, &ec1, NULL), HOSTKEYS_MATCH);
            assert_int_equal(hostkeys_skipped(hk), 0);
        } else {
            assert_int_equal(rc, RC_NOMEM);
            assert_int_equal(e.rc, RC_NOMEM);
        }
        if (hk != NULL) /* whatever failed, asking stays safe */
            ask(hk, "hashed1", 22, &ed2, NULL);
        hostkeys_free(hk);
        assert_int_equal(mem_live(), before);
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/muster-hostkeys-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    ed1 = make_key("ssh-ed25519", 1);
    ed2 = make_key("ssh-ed25519", 2);
    ed3 = make_key("ssh-ed25519", 3);
    ec1 = make_key("ecdsa-sha2-nistp256", 4);
    rsa1 = make_key("ssh-rsa", 5);
    rsa2 = make_key("ssh-rsa", 6);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return run("rm -rf %s", dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_agrees_with_keygen),
        cmocka_unit_test(test_hashed_by_keygen),
        cmocka_unit_test(test_hmac_is_hmac),
        cmocka_unit_test(test_hashed_verdicts),
        cmocka_unit_test(test_cloned_key),
        cmocka_unit_test(test_junk_is_skipped_and_counted),
        cmocka_unit_test(test_real_keys),
        cmocka_unit_test(test_several_files),
        cmocka_unit_test(test_types_hint),
        cmocka_unit_test(test_names_out_of_bounds),
        cmocka_unit_test(test_pattern_is_not_exponential),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_add_hashed),
        cmocka_unit_test(test_add_after_a_line_without_newline),
        cmocka_unit_test(test_add_sees_what_others_did),
        cmocka_unit_test(test_add_refuses),
        cmocka_unit_test(test_two_processes_race),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
