/* controller/ssh/key_blob: public keys and certificates as ssh-keygen writes them, and cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "controller/ssh/key_blob.h"

static char dir[64];

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

static char *slurp(const char *name)
{
    static char text[65536];
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n > 0);
    text[n] = '\0';
    return text;
}

static const char *const kinds[] = {"ed25519", "ecdsa", "rsa"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/muster-blob-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    run("ssh-keygen -q -t ed25519 -N '' -f %s/ca", dir);
    for (int i = 0; i < KINDS; i++) {
        run("ssh-keygen -q -t %s -N '' -f %s/%s", kinds[i], dir, kinds[i]);
        run("ssh-keygen -q -s %s/ca -I 'an id' -n me,you -V 20200101000000Z:20300101000000Z "
            "%s/%s.pub 2>/dev/null",
            dir, dir, kinds[i]);
    }
    run("ssh-keygen -q -t ed25519 -a 2 -N secret -f %s/locked", dir);
    run("ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -f %s/pem", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run("rm -r %s", dir);
    return 0;
}

/* The same key from the private file, the public one and the certificate. */
static void test_one_key(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct buf a, b, plain;
        struct key_cert c;
        struct err e = {0};
        char name[64];
        buf_init(&a, 65536);
        buf_init(&b, 65536);
        buf_init(&plain, 65536);
        assert_int_equal(key_blob_of_private(&a, slurp(kinds[i]), &e), RC_OK);
        snprintf(name, sizeof name, "%s.pub", kinds[i]);
        assert_int_equal(key_blob_of_line(&b, slurp(name), &e), RC_OK);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
        snprintf(name, sizeof name, "%s-cert.pub", kinds[i]);
        assert_int_equal(key_blob_of_line(&b, slurp(name), &e), RC_OK);
        assert_int_equal(key_cert_parse(&c, &plain, b.data, b.len, &e), RC_OK);
        assert_int_equal(plain.len, a.len);
        assert_memory_equal(plain.data, a.data, a.len);
        assert_true(c.user);
        assert_true(key_type_is_cert(c.type));
        assert_true(key_type_usable(c.type));
        assert_string_equal(c.id, "an id");
        assert_string_equal(c.principals, "me,you");
        char text[128];
        assert_null(key_cert_fault(&c, c.after, text, sizeof text));
        assert_string_equal(key_cert_fault(&c, c.after - 1, text, sizeof text),
                            "is not valid before 2020-01-01 00:00 UTC");
        assert_null(key_cert_fault(&c, c.before - 1, text, sizeof text));
        assert_string_equal(key_cert_fault(&c, c.before, text, sizeof text),
                            "expired on 2030-01-01 00:00 UTC");
        c.user = false;
        assert_string_equal(key_cert_fault(&c, c.after, text, sizeof text),
                            "is for hosts, not for users");
        /* Cut anywhere, or with a byte more, it is none. */
        for (size_t n = 0; n < b.len; n++) {
            uint8_t *copy = mem_memdup(b.data, n);
            assert_int_equal(key_cert_parse(&c, &plain, copy, n, NULL), RC_PARSE);
            mem_free(copy);
        }
        assert_int_equal(buf_putc(&b, 0), RC_OK);
        assert_int_equal(key_cert_parse(&c, &plain, b.data, b.len, NULL), RC_PARSE);
        assert_int_equal(key_cert_parse(&c, &plain, a.data, a.len, NULL), RC_PARSE);
        buf_fini(&a);
        buf_fini(&b);
        buf_fini(&plain);
    }
}

static void test_files(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 65536);
    assert_int_equal(key_blob_of_private(&b, slurp("locked"), NULL), RC_OK);
    assert_int_equal(b.len, 51);
    assert_int_equal(key_blob_of_private(&b, slurp("pem"), NULL), RC_NOTFOUND);
    char *text = slurp("locked");
    char *end = strstr(text, "-----END");
    assert_non_null(end);
    for (size_t n = (size_t)(end - text) + 30; n-- > 0;) { /* cut short: never more than it was */
        text[n] = '\0';
        enum rc rc = key_blob_of_private(&b, text, NULL);
        assert_true(rc == RC_PARSE || rc == RC_NOTFOUND);
    }
    static const char *const wrong[] = {
        "", "#\n", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa !!!!", "# a comment\n\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(key_blob_of_line(&b, wrong[i], NULL), RC_PARSE);
    text = slurp("ed25519.pub");
    memcpy(text, "ssh-ed25518", 11); /* the line says another type than the key */
    assert_int_equal(key_blob_of_line(&b, text, NULL), RC_PARSE);
    char commented[2048];
    snprintf(commented, sizeof commented, "# mine\n\n %s", slurp("rsa.pub"));
    assert_int_equal(key_blob_of_line(&b, commented, NULL), RC_OK);
    buf_fini(&b);
}

static void test_types(void **state)
{
    (void)state;
    char type[KEY_BLOB_TYPE];
    assert_false(key_blob_type(type, "\0\0\0\4ab d", 8));
    assert_false(key_blob_type(type, "\0\0\0\0", 4));
    assert_false(key_blob_type(type, "\0\0\0\5abcd", 8));
    assert_true(key_blob_type(type, "\0\0\0\4abcd", 8));
    assert_string_equal(type, "abcd");
    assert_false(key_type_usable("ssh-dss"));
    assert_true(key_type_usable("sk-ssh-ed25519@openssh.com"));
    assert_false(key_type_is_cert("ssh-ed25519"));
}

static void test_no_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    char *text = mem_strdup(slurp("ed25519-cert.pub")), *private = mem_strdup(slurp("ed25519"));
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct buf b, plain;
        struct key_cert c;
        buf_init(&b, 65536);
        buf_init(&plain, 65536);
        mem_fail_after(n);
        enum rc rc = key_blob_of_line(&b, text, NULL);
        if (rc == RC_OK)
            rc = key_cert_parse(&c, &plain, b.data, b.len, NULL);
        if (rc == RC_OK)
            rc = key_blob_of_private(&plain, private, NULL);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        buf_fini(&b);
        buf_fini(&plain);
    }
    mem_free(text);
    mem_free(private);
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_key),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
