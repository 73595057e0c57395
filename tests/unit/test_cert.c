/* controller/keyscan/cert: certificates that ssh-keygen made, of every kind of key by every kind of
 * authority; the same cut, altered, out of time and for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "common/buf.h"
#include "common/str.h"
#include "controller/keyscan/cert.h"

static char dir[64];

static const char *const kinds[] = {"ed25519",      "ecdsa -b 256", "ecdsa -b 384",
                                    "ecdsa -b 521", "rsa -b 2048",  "rsa -b 3072"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
    char line[1024], all[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    snprintf(all, sizeof all, "cd %s && %s >/dev/null 2>&1", dir, line);
    assert_int_equal(system(all), 0);
}

/* The second word of a public key file, decoded. */
static void read_blob(const char *name, struct buf *blob)
{
    char path[128], text[16384];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    char *key = strchr(text, ' ') + 1;
    buf_reset(blob);
    assert_int_equal(str_unbase64(blob, key, strcspn(key, " \n")), RC_OK);
}

static void sign(int authority, const char *options, int key)
{
    shell("ssh-keygen -q -s ca%d %s k%d.pub", authority, options, key);
}

static struct cert read_cert(int key, struct buf *blob)
{
    struct cert c;
    struct err e = {0};
    char name[32];
    snprintf(name, sizeof name, "k%d-cert.pub", key);
    read_blob(name, blob);
    if (cert_parse(&c, blob->data, blob->len, &e) != RC_OK)
        fail_msg("%s: %s", name, e.msg);
    return c;
}

static void every_kind(void **state)
{
    (void)state;
    struct buf blob, plain;
    struct err e = {0};
    buf_init(&blob, CERT_MAX);
    buf_init(&plain, CERT_MAX);
    for (int ca = 0; ca < KINDS; ca++)
        for (int k = 0; k < KINDS; k++) {
            char name[32];
            sign(ca,
                 "-h -I 'web one' -n web1,*.example.com -z 7 -V 20200101000000Z:20400101000000Z",
                 k);
            struct cert c = read_cert(k, &blob);
            if (cert_verify(&c, &e) != RC_OK)
                fail_msg("%s by %s: %s", kinds[k], kinds[ca], e.msg);
            assert_int_equal(c.kind, CERT_HOST);
            assert_int_equal(c.serial, 7);
            assert_int_equal(c.principal_count, 2);
            assert_true(c.id.len == 7 && memcmp(c.id.p, "web one", 7) == 0);
            assert_true(c.after == 1577836800 && c.before == 2208988800);
            assert_int_equal(cert_covers(&c, "WEB1", 1800000000, &e), RC_OK);
            snprintf(name, sizeof name, "k%d.pub", k);
            read_blob(name, &plain);
            assert_true(cert_is_of_key(&c, plain.data, plain.len));
            plain.data[plain.len - 1] ^= 1;
            assert_false(cert_is_of_key(&c, plain.data, plain.len));
            snprintf(name, sizeof name, "ca%d.pub", ca);
            read_blob(name, &plain);
            assert_true(plain.len == c.authority.len &&
                        memcmp(plain.data, c.authority.p, plain.len) == 0);
        }
    buf_fini(&blob);
    buf_fini(&plain);
}

static void refused(const struct cert *c, const char *host, int64_t now, const char *why)
{
    struct err e = {0};
    assert_int_equal(cert_covers(c, host, now, &e), RC_CONFIG);
    if (strstr(e.msg, why) == NULL)
        fail_msg("'%s' lacks '%s'", e.msg, why);
}

static void what_stands_in_it(void **state)
{
    (void)state;
    struct buf blob;
    struct err e = {0};
    buf_init(&blob, CERT_MAX);
    sign(0, "-h -I x -n web1,*.example.com -V 20200101000000Z:20400101000000Z", 0);
    struct cert c = read_cert(0, &blob);
    assert_int_equal(cert_covers(&c, "a.example.com", 1577836800, &e), RC_OK);
    refused(&c, "web2", 1800000000, "not for web2");
    refused(&c, "web1.example.org", 1800000000, "not for");
    refused(&c, "web1", 1577836799, "good from 2020-01-01T00:00:00Z only");
    refused(&c, "web1", 2208988800, "expired on 2040-01-01T00:00:00Z");
    sign(0, "-I x -n web1", 0);
    c = read_cert(0, &blob);
    refused(&c, "web1", 1800000000, "not one for hosts");
    sign(0, "-h -I x", 0);
    c = read_cert(0, &blob);
    assert_true(c.before == UINT64_MAX);
    refused(&c, "web1", 1800000000, "names no host");
    sign(0, "-h -I x -n web1 -O critical:thing@example.com=1", 0);
    c = read_cert(0, &blob);
    refused(&c, "web1", 1800000000, "critical options");
    sign(4, "-t ssh-rsa -h -I x -n web1", 0); /* SHA-1 */
    c = read_cert(0, &blob);
    assert_int_equal(cert_verify(&c, &e), RC_CRYPTO);
    assert_non_null(strstr(e.msg, "not accepted"));
    buf_fini(&blob);
}

/* No byte of a certificate can be changed without being noticed, and none can be missing. */
static void every_byte_counts(void **state)
{
    (void)state;
    static const int authorities[] = {0, 1, 4};
    struct buf blob;
    buf_init(&blob, CERT_MAX);
    for (size_t n = 0; n < sizeof authorities / sizeof authorities[0]; n++) {
        sign(authorities[n], "-h -I x -n web1", 0);
        struct cert c = read_cert(0, &blob);
        for (size_t i = 0; i < blob.len; i++) {
            uint8_t *cut = malloc(i + 1); /* no slack: a read past the end is seen */
            memcpy(cut, blob.data, i);
            assert_int_equal(cert_parse(&c, cut, i, NULL), RC_PARSE);
            free(cut);
            blob.data[i] ^= 0x10;
            if (cert_parse(&c, blob.data, blob.len, NULL) == RC_OK &&
                cert_verify(&c, NULL) == RC_OK)
                fail_msg("byte %zu of %zu counts for nothing", i, blob.len);
            blob.data[i] ^= 0x10;
        }
        assert_int_equal(buf_putc(&blob, 0), RC_OK);
        assert_int_equal(cert_parse(&c, blob.data, blob.len, NULL), RC_PARSE);
    }
    buf_fini(&blob);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/muster-cert-XXXXXX");
    if (sodium_init() < 0 || mkdtemp(dir) == NULL)
        return -1;
    for (int i = 0; i < KINDS; i++) {
        shell("ssh-keygen -q -N '' -C '' -f ca%d -t %s", i, kinds[i]);
        shell("ssh-keygen -q -N '' -C '' -f k%d -t %s", i, kinds[i]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shell("rm -rf %s", dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(what_stands_in_it),
        cmocka_unit_test(every_byte_counts),
    };
    return cmocka_run_group_tests_name("cert", tests, setup, teardown);
}
