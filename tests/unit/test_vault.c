/* Sealed texts: what is sealed opens, and nothing else does. The cost of deriving a key is the
 * least there is, by vault_set_cost; what the command line uses is tried in tests/integration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/vault/envelope.h"
#include "controller/vault/file.h"
#include "controller/vault/vault.h"

static const struct vault_cost cheap = {1, 8192};
static char dir[64];
static size_t live;

static int setup(void **state)
{
    (void)state;
    live = mem_live();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    return mem_live() == live ? 0 : -1;
}

static struct vault *vault_of(const char *key)
{
    struct secret *s;
    struct vault *v;
    assert_int_equal(secret_copy(&s, key, strlen(key), NULL), RC_OK);
    assert_int_equal(vault_new(&v, s, NULL), RC_OK);
    vault_set_cost(v, cheap);
    return v;
}

static void seal(struct vault *v, const char *name, const char *plain, struct buf *out)
{
    struct err e = {0};
    buf_init(out, VAULT_MAX_TEXT);
    if (vault_seal(v, name, plain, strlen(plain), out, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static enum rc open_text(struct vault *v, const void *text, size_t len, const char *name)
{
    struct secret *plain;
    enum rc rc = vault_open_any(v, text, len, name, &plain, NULL);
    assert_true((rc == RC_OK) == (plain != NULL));
    secret_free(plain);
    return rc;
}

static void opens_as(struct vault *v, const struct buf *text, const char *name, const void *want,
                     size_t len)
{
    struct err e = {0};
    struct secret *plain;
    if (vault_open_any(v, (const char *)text->data, text->len, name, &plain, &e) != RC_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(plain->len, len);
    assert_memory_equal(plain->data, want, len);
    secret_free(plain);
}

static void test_round_trip(void **state)
{
    (void)state;
    char *big = calloc(1, 100001);
    for (size_t i = 0; i < 100000; i++)
        big[i] = (char)(i * 31 >> 3);
    static const size_t sizes[] = {0, 1, 15, 31, 32, 33, 4095, 4096, 100000};
    struct vault *v = vault_of("key"), *other = vault_of("key");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf file, value;
        buf_init(&file, VAULT_MAX_TEXT);
        buf_init(&value, VAULT_MAX_TEXT);
        assert_int_equal(vault_seal(v, NULL, big, sizes[i], &file, NULL), RC_OK);
        assert_int_equal(vault_seal(v, "db_password", big, sizes[i], &value, NULL), RC_OK);
        opens_as(other, &file, "", big, sizes[i]);
        opens_as(other, &value, "db_password", big, sizes[i]);
        opens_as(other, &value, NULL, big, sizes[i]);
        assert_int_equal(str_utf8_valid(file.data, file.len), 1);
        buf_fini(&file);
        buf_fini(&value);
    }
    vault_free(v);
    vault_free(other);
    free(big);
}

/* Two texts of the same bytes share nothing but the header's first part: the nonce is new. */
static void test_never_the_same_twice(void **state)
{
    (void)state;
    struct vault *v = vault_of("key");
    struct buf a, b;
    seal(v, "n", "secret", &a);
    seal(v, "n", "secret", &b);
    assert_int_equal(a.len, b.len);
    assert_memory_not_equal(a.data, b.data, a.len);
    struct vault_header ha, hb;
    struct buf aad, body;
    buf_init(&aad, VAULT_MAX_TEXT);
    buf_init(&body, VAULT_MAX_TEXT);
    assert_int_equal(vault_read((char *)a.data, a.len, &ha, &aad, &body, NULL), RC_OK);
    assert_int_equal(vault_read((char *)b.data, b.len, &hb, &aad, &body, NULL), RC_OK);
    assert_memory_equal(ha.salt, hb.salt, VAULT_SALT); /* one derivation opens both */
    assert_memory_not_equal(ha.nonce, hb.nonce, VAULT_NONCE);
    buf_fini(&aad);
    buf_fini(&body);
    buf_fini(&a);
    buf_fini(&b);
    vault_free(v);
}

static void test_wrong_key_and_place(void **state)
{
    (void)state;
    struct vault *v = vault_of("key"), *wrong = vault_of("Key");
    struct buf file, value;
    struct err e = {0};
    struct secret *plain;
    seal(v, NULL, "secret", &file);
    seal(v, "db_password", "secret", &value);
    assert_int_equal(open_text(wrong, file.data, file.len, ""), RC_CRYPTO);
    assert_int_equal(open_text(v, file.data, file.len, "db_password"), RC_CRYPTO);
    assert_int_equal(open_text(v, value.data, value.len, ""), RC_CRYPTO);
    assert_int_equal(open_text(v, value.data, value.len, "db_passwor"), RC_CRYPTO);
    assert_int_equal(vault_open(v, (char *)value.data, value.len, "root_password", &plain, &e),
                     RC_CRYPTO);
    assert_string_equal(e.msg, "sealed for the variable 'db_password', not for 'root_password'");
    buf_fini(&file);
    buf_fini(&value);
    vault_free(v);
    vault_free(wrong);
}

/* Another name written into the header does not make a value of another variable. */
static void test_name_is_authenticated(void **state)
{
    (void)state;
    struct vault *v = vault_of("key");
    struct buf value, aad, body, forged;
    struct vault_header h;
    seal(v, "db_password", "secret", &value);
    buf_init(&aad, VAULT_MAX_TEXT);
    buf_init(&body, VAULT_MAX_TEXT);
    buf_init(&forged, VAULT_MAX_TEXT);
    assert_int_equal(vault_read((char *)value.data, value.len, &h, &aad, &body, NULL), RC_OK);
    memcpy(h.name, "db_passwork", sizeof "db_passwork");
    buf_reset(&aad);
    assert_int_equal(envelope_header(&h, &aad), RC_OK);
    assert_int_equal(buf_append(&aad, body.data, body.len), RC_OK);
    assert_int_equal(envelope_text(&aad, &forged), RC_OK);
    assert_int_equal(open_text(v, forged.data, forged.len, "db_passwork"), RC_CRYPTO);
    buf_fini(&value);
    buf_fini(&aad);
    buf_fini(&body);
    buf_fini(&forged);
    vault_free(v);
}

static void bytes_of(const struct buf *text, struct buf *out)
{
    struct vault_header h;
    struct buf body;
    buf_init(out, VAULT_MAX_TEXT);
    buf_init(&body, VAULT_MAX_TEXT);
    assert_int_equal(vault_read((char *)text->data, text->len, &h, out, &body, NULL), RC_OK);
    assert_int_equal(buf_append(out, body.data, body.len), RC_OK);
    buf_fini(&body);
}

static void test_every_bit(void **state)
{
    (void)state;
    struct vault *v = vault_of("key");
    struct buf text, bytes, again;
    seal(v, "db_password", "a secret of some length, past one block", &text);
    for (size_t i = 0; i < text.len * 8; i++) {
        text.data[i / 8] ^= (uint8_t)(1u << i % 8);
        if (open_text(v, text.data, text.len, NULL) == RC_OK)
            fail_msg("character %zu, bit %zu", i / 8, i % 8);
        text.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    bytes_of(&text, &bytes);
    buf_init(&again, VAULT_MAX_TEXT);
    for (size_t i = 0; i < bytes.len * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
        buf_reset(&again);
        assert_int_equal(envelope_text(&bytes, &again), RC_OK);
        if (open_text(v, again.data, again.len, NULL) == RC_OK)
            fail_msg("byte %zu, bit %zu", i / 8, i % 8);
        bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_int_equal(open_text(v, text.data, text.len, "db_password"), RC_OK);
    buf_fini(&text);
    buf_fini(&bytes);
    buf_fini(&again);
    vault_free(v);
}

static void test_every_length(void **state)
{
    (void)state;
    struct vault *v = vault_of("key");
    struct buf text, bytes, again;
    seal(v, NULL, "a secret of some length, past one block of thirty-two bytes", &text);
    for (size_t n = 0; n < text.len; n++) {
        char *exact = malloc(n + 1); /* reading past the end is seen */
        memcpy(exact, text.data, n);
        exact = realloc(exact, n > 0 ? n : 1);
        if (open_text(v, exact, n, NULL) == RC_OK)
            fail_msg("%zu of %zu characters", n, text.len);
        free(exact);
    }
    bytes_of(&text, &bytes);
    buf_init(&again, VAULT_MAX_TEXT);
    for (size_t n = bytes.len; n-- > 0;) {
        bytes.len = n;
        buf_reset(&again);
        assert_int_equal(envelope_text(&bytes, &again), RC_OK);
        if (open_text(v, again.data, again.len, NULL) == RC_OK)
            fail_msg("%zu bytes", n);
    }
    assert_int_equal(buf_putc(&text, '\n'), RC_OK);
    assert_int_equal(open_text(v, text.data, text.len, NULL), RC_PARSE);
    buf_fini(&text);
    buf_fini(&bytes);
    buf_fini(&again);
    vault_free(v);
}

/* A text from a stranger shall not make us fill the machine's memory. */
static void test_absurd_parameters(void **state)
{
    (void)state;
    static const struct {
        struct vault_cost cost;
        enum rc want;
    } table[] = {
        {{1, 8192}, RC_CRYPTO},
        {{10, 8192}, RC_CRYPTO},
        {{11, 8192}, RC_LIMIT},
        {{UINT32_MAX, 8192}, RC_LIMIT},
        {{0, 8192}, RC_PARSE},
        {{1, 0}, RC_PARSE},
        {{1, 8191}, RC_PARSE},
        {{1, 8193}, RC_PARSE},
        {{1, 1ULL << 30 | 1024}, RC_LIMIT},
        {{1, 1ULL << 40}, RC_LIMIT},
        {{1, UINT64_MAX}, RC_LIMIT},
    };
    struct vault *v = vault_of("key");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct vault_header h = {.cost = table[i].cost};
        struct buf bytes, text;
        static const uint8_t body[VAULT_BLOCK + VAULT_TAG];
        buf_init(&bytes, VAULT_MAX_TEXT);
        buf_init(&text, VAULT_MAX_TEXT);
        assert_int_equal(envelope_header(&h, &bytes), RC_OK);
        assert_int_equal(buf_append(&bytes, body, sizeof body), RC_OK);
        assert_int_equal(envelope_text(&bytes, &text), RC_OK);
        assert_int_equal(open_text(v, text.data, text.len, ""), table[i].want);
        buf_fini(&bytes);
        buf_fini(&text);
    }
    vault_free(v);
}

/* The format does not drift: sealed once with the key "correct horse" for `db_password`. */
static void test_golden(void **state)
{
    (void)state;
    static const char text[] =
        "$MUSTER_VAULT;1\n"
        "TVVTVEVSVgECAgALAAAAAQAAAAAAACAABBrOxezXKEmBVn6RsIkLxAcrDIi0pxxlB4HJUSPquLZk\n"
        "mqSOUOEiAWRiX3Bhc3N3b3JkTAsx/XAty9Fh1aLtcZ+6tJLPY01JzmBEVb02F87MLDfyF9ElbnYb\n"
        "PnETzzrXQQAW\n";
    struct vault *v = vault_of("correct horse");
    struct buf b;
    buf_init(&b, VAULT_MAX_TEXT);
    assert_int_equal(buf_puts(&b, text), RC_OK);
    opens_as(v, &b, "db_password", "battery staple", 14);
    buf_fini(&b);
    vault_free(v);
}

static void test_limits(void **state)
{
    (void)state;
    struct vault *v = vault_of("key"), *none;
    struct secret *empty;
    struct buf out;
    char name[VAULT_MAX_NAME + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    buf_init(&out, VAULT_MAX_TEXT);
    assert_int_equal(vault_seal(v, name, "x", 1, &out, NULL), RC_LIMIT);
    assert_int_equal(vault_seal(v, "", "x", 1, &out, NULL), RC_USAGE);
    assert_int_equal(vault_seal(v, NULL, "x", VAULT_MAX_PLAIN + 1, &out, NULL), RC_LIMIT);
    name[VAULT_MAX_NAME] = '\0';
    assert_int_equal(vault_seal(v, name, "x", 1, &out, NULL), RC_OK);
    opens_as(v, &out, name, "x", 1);
    buf_reset(&out);
    char *most = calloc(1, VAULT_MAX_PLAIN);
    assert_int_equal(vault_seal(v, NULL, most, VAULT_MAX_PLAIN, &out, NULL), RC_OK);
    opens_as(v, &out, "", most, VAULT_MAX_PLAIN);
    free(most);
    buf_fini(&out);
    vault_free(v);
    assert_int_equal(secret_new(&empty, 8, NULL), RC_OK);
    assert_int_equal(vault_new(&none, empty, NULL), RC_USAGE);
}

/* Adopting takes over the salt, and only from a text that this key opens. */
static void test_adopt(void **state)
{
    (void)state;
    struct vault *v = vault_of("key"), *other = vault_of("key"), *wrong = vault_of("Key");
    struct buf a, b, from_a, from_b;
    struct vault_header ha, hb;
    seal(v, "a", "x", &a);
    assert_int_equal(vault_adopt(wrong, (char *)a.data, a.len, NULL), RC_CRYPTO);
    vault_set_cost(other, (struct vault_cost){2, 16384});
    assert_int_equal(vault_adopt(other, (char *)a.data, a.len, NULL), RC_OK);
    seal(other, "b", "y", &b);
    buf_init(&from_a, VAULT_MAX_TEXT);
    buf_init(&from_b, VAULT_MAX_TEXT);
    assert_int_equal(vault_read((char *)a.data, a.len, &ha, &from_a, &from_b, NULL), RC_OK);
    assert_int_equal(vault_read((char *)b.data, b.len, &hb, &from_a, &from_b, NULL), RC_OK);
    assert_memory_equal(ha.salt, hb.salt, VAULT_SALT);
    assert_int_equal(hb.cost.ops, 1);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&from_a);
    buf_fini(&from_b);
    vault_free(v);
    vault_free(other);
    vault_free(wrong);
}

/* More salts than keys are kept for: all open, in any order. */
static void test_many_salts(void **state)
{
    (void)state;
    struct vault *v = vault_of("key");
    struct buf texts[40];
    for (size_t i = 0; i < 40; i++) {
        struct vault *one = vault_of("key");
        seal(one, "n", "x", &texts[i]);
        vault_free(one);
    }
    for (size_t i = 0; i < 120; i++)
        opens_as(v, &texts[i * 7 % 40], "n", "x", 1);
    for (size_t i = 0; i < 40; i++)
        buf_fini(&texts[i]);
    vault_free(v);
}

/* --- ansible-vault --- */

static void run(const char *fmt, ...)
{
    char cmd[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    int status = system(cmd);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s: status %d", cmd, status);
}

static void read_text(const char *name, struct buf *out)
{
    char path[128];
    struct secret *s;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_read(path, VAULT_MAX_TEXT, &s, NULL), RC_OK);
    buf_init(out, VAULT_MAX_TEXT);
    assert_int_equal(buf_append(out, s->data, s->len), RC_OK);
    secret_free(s);
}

static void test_ansible(void **state)
{
    (void)state;
    struct vault *v = vault_of("ansible's key"), *wrong = vault_of("another key");
    struct buf plain, text;
    run("cd %s && printf \"ansible's key\\n\" > key && seq 1 2000 > f0 && cp f0 f1 && cp f0 f2 && "
        "printf 0123456789abcdef > f3 && export ANSIBLE_LOCAL_TEMP=%s/t && "
        "/usr/bin/ansible-vault encrypt --vault-id key f1 f3 >/dev/null 2>&1 && "
        "/usr/bin/ansible-vault encrypt --vault-id prod@key f2 >/dev/null 2>&1",
        dir, dir);
    read_text("f0", &plain);
    read_text("f1", &text);
    assert_memory_equal(text.data, "$ANSIBLE_VAULT;1.1;AES256\n", 26);
    opens_as(v, &text, "", plain.data, plain.len);
    assert_int_equal(open_text(wrong, text.data, text.len, ""), RC_CRYPTO);
    buf_fini(&text);
    read_text("f2", &text);
    assert_memory_equal(text.data, "$ANSIBLE_VAULT;1.2;AES256;prod\n", 31);
    opens_as(v, &text, "", plain.data, plain.len);
    buf_fini(&text);
    buf_fini(&plain);
    read_text("f3", &text);
    opens_as(v, &text, "anything", "0123456789abcdef", 16);
    /* Case and blanks of its hex are not authenticated; what is said must never differ. */
    for (size_t i = 0; i < text.len * 8; i += 11) {
        struct secret *s;
        text.data[i / 8] ^= (uint8_t)(1u << i % 8);
        if (vault_open_any(v, (char *)text.data, text.len, "", &s, NULL) == RC_OK)
            assert_memory_equal(s->data, "0123456789abcdef", 16);
        secret_free(s);
        text.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n + 2 < text.len; n += 13)
        assert_int_not_equal(open_text(v, text.data, n, ""), RC_OK);
    buf_fini(&text);
    vault_free(v);
    vault_free(wrong);
}

static void test_ansible_damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "$ANSIBLE_VAULT;",
        "$ANSIBLE_VAULT;1.0;AES\n00",
        "$ANSIBLE_VAULT;1.2;AES256\n00",
        "$ANSIBLE_VAULT;1.1;AES256",
        "$ANSIBLE_VAULT;1.1;AES256\n",
        "$ANSIBLE_VAULT;1.1;AES256\nzz",
        "$ANSIBLE_VAULT;1.1;AES256\n0a0a0a",
        "$ANSIBLE_VAULT;1.1;AES256\n30310a30310a3031",
        "$ANSIBLE_VAULT;1.1;AES256\n300",
        "$OTHER;1.1",
        "",
    };
    struct vault *v = vault_of("key");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(open_text(v, texts[i], strlen(texts[i]), ""), RC_PARSE);
    vault_free(v);
}

/* --- allocations that fail --- */

static enum rc all_of_it(struct buf *ansible, struct err *e)
{
    struct secret *key = NULL, *plain = NULL;
    struct vault *v = NULL;
    struct buf text;
    buf_init(&text, VAULT_MAX_TEXT);
    enum rc rc = secret_copy(&key, "ansible's key", 13, e);
    if (rc == RC_OK)
        rc = vault_new(&v, key, e);
    if (rc == RC_OK) {
        vault_set_cost(v, cheap);
        rc = vault_seal(v, "name", "plain", 5, &text, e);
    }
    if (rc == RC_OK)
        rc = vault_open(v, (char *)text.data, text.len, "name", &plain, e);
    secret_free(plain);
    plain = NULL;
    if (rc == RC_OK)
        rc = vault_open_any(v, (char *)ansible->data, ansible->len, "name", &plain, e);
    secret_free(plain);
    vault_free(v);
    buf_fini(&text);
    return rc;
}

static void test_no_memory(void **state)
{
    (void)state;
    struct buf ansible;
    read_text("f3", &ansible); /* test_ansible made it */
    size_t before = mem_live();
    bool fired = true;
    long n = 0;
    for (; fired; n++) {
        struct err e = {0};
        mem_fail_after(n);
        enum rc rc = all_of_it(&ansible, &e);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        assert_int_equal(mem_live(), before);
    }
    assert_true(n > 10);
    buf_fini(&ansible);
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/test_vault.XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    run("rm -rf %s", dir);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_never_the_same_twice),
        TEST(test_wrong_key_and_place),
        TEST(test_name_is_authenticated),
        TEST(test_every_bit),
        TEST(test_every_length),
        TEST(test_absurd_parameters),
        TEST(test_golden),
        TEST(test_limits),
        TEST(test_adopt),
        TEST(test_many_salts),
        TEST(test_ansible),
        TEST(test_ansible_damaged),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
