/* controller/keyscan without a network: what is made of the keys that were found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/keyscan/keyscan.h"

enum { HOSTS = 4 };

static struct inv_host hosts[HOSTS] = {
    {.name = "web1"}, {.name = "web2"}, {.name = "db1"}, {.name = "db2"}};
static struct target targets[HOSTS];

static void make_blob(uint8_t blob[51], uint8_t seed)
{
    memcpy(blob, "\0\0\0\x0bssh-ed25519\0\0\0\x20", 19);
    memset(blob + 19, seed, 32);
}

/* A line for known_hosts. */
static void put_line(struct buf *b, const char *head, uint8_t seed)
{
    uint8_t blob[51];
    make_blob(blob, seed);
    assert_int_equal(buf_printf(b, "%s ssh-ed25519 ", head), RC_OK);
    assert_int_equal(str_base64(b, blob, sizeof blob), RC_OK);
    assert_int_equal(buf_putc(b, '\n'), RC_OK);
}

static void found_setup(struct found *f)
{
    for (int i = 0; i < HOSTS; i++)
        targets[i] = (struct target){.host = &hosts[i],
                                     .address = hosts[i].name,
                                     .key_name = hosts[i].name,
                                     .port = i < 2 ? 22 : 2222};
    assert_int_equal(found_init(f, targets, HOSTS, NULL), RC_OK);
}

static void show(struct found *f, uint32_t host, uint8_t seed, const char *address)
{
    uint8_t blob[51];
    struct outcome o;
    make_blob(blob, seed);
    outcome_init(&o);
    found_seen(f, host, "ssh-ed25519", blob, sizeof blob);
    found_ended(f, host, &o, address);
}

static void keeps_what_it_sees(void **state)
{
    (void)state;
    struct found f;
    size_t live = mem_live();
    found_setup(&f);
    assert_int_equal(f.hosts[0].problem, PROBLEM_NOT_STARTED_CANCEL);
    show(&f, 0, 1, "10.0.0.1");
    show(&f, 0, 1, "10.0.0.1"); /* a retry */
    assert_int_equal(f.hosts[0].key_count, 1);
    for (uint8_t i = 2; i < 20; i++)
        show(&f, 0, i, "10.0.0.1");
    assert_int_equal(f.hosts[0].key_count, FOUND_MAX_KEYS);
    assert_false(f.nomem);
    mem_fail_after(0);
    show(&f, 1, 1, "10.0.0.2");
    mem_fail_after(-1);
    found_fini(&f);
    assert_int_equal(mem_live(), live);
}

static void judges(void **state)
{
    (void)state;
    struct found f;
    struct buf text;
    struct trust *trust = NULL;
    struct options o = {.host_keys = HOST_KEYS_STRICT};
    char path[] = "/tmp/muster-keyscan-XXXXXX";
    const char *files[] = {path};
    buf_init(&text, 4096);
    put_line(&text, "web1", 1);
    put_line(&text, "web2", 9);
    put_line(&text, "@revoked *", 3);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    close(fd);
    o.known_hosts = (struct strings){.items = files, .count = 1};
    assert_int_equal(trust_new(&trust, &o, NULL, NULL, NULL, NULL), RC_OK);
    found_setup(&f);
    for (uint8_t i = 0; i < HOSTS; i++)
        show(&f, i, (uint8_t)(i + 1), "10.0.0.1");
    assert_int_equal(judge_found(&f, trust, NULL), RC_OK);
    static const enum key_state want[] = {KEY_KNOWN, KEY_CHANGED, KEY_REVOKED, KEY_NEW};
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(f.hosts[i].keys[0].state, want[i]);
    assert_non_null(strstr(f.hosts[1].keys[0].where, ":2"));
    assert_memory_equal(f.hosts[1].keys[0].recorded, "SHA256:", 7);
    assert_true(found_is_changed(&f.hosts[1]) && !found_is_refused(&f.hosts[1]));
    assert_true(found_is_refused(&f.hosts[2]) && !found_is_changed(&f.hosts[0]));
    found_fini(&f);
    trust_close(trust);
    unlink(path);
    buf_fini(&text);
}

static void compares_with_a_list(void **state)
{
    (void)state;
    struct found f;
    struct buf text;
    struct expect *x = NULL;
    char print[FOUND_PRINT];
    uint8_t blob[51];
    found_setup(&f);
    for (uint8_t i = 0; i < HOSTS; i++)
        show(&f, i, (uint8_t)(i + 1), "10.0.0.1");
    buf_init(&text, 4096);
    put_line(&text, "web1", 1);
    make_blob(blob, 9);
    buf_printf(&text, "web2 %s\n", hostkeys_fingerprint(print, blob, sizeof blob));
    make_blob(blob, 3);
    buf_printf(&text, "256 %s [DB1]:2222,other (ED25519)\r\n",
               hostkeys_fingerprint(print, blob, sizeof blob));
    assert_int_equal(expect_new_text(&x, "list", (char *)text.data, text.len, NULL), RC_OK);
    assert_int_equal(expect_judge(x, &f, NULL), RC_OK);
    static const enum key_proof want[] = {PROOF_VERIFIED, PROOF_DENIED, PROOF_VERIFIED, PROOF_NONE};
    static const char *const by[] = {"list:1", "list:2", "list:3", ""};
    for (int i = 0; i < HOSTS; i++) {
        assert_int_equal(f.hosts[i].keys[0].proof, want[i]);
        assert_string_equal(f.hosts[i].keys[0].by, by[i]);
    }
    expect_free(x);
    found_fini(&f);
    buf_fini(&text);
}

static void finds_clones(void **state)
{
    (void)state;
    struct found f;
    struct clones *c = NULL;
    size_t n = 0;
    found_setup(&f);
    show(&f, 0, 1, "10.0.0.1");
    show(&f, 1, 1, "10.0.0.1"); /* another name of web1's server */
    show(&f, 2, 2, "10.0.0.2");
    show(&f, 3, 2, "10.0.0.3");
    assert_int_equal(clones_find(&f, &c, &n, NULL), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(c[0].count, 2);
    assert_int_equal(c[0].hosts[0], 2);
    assert_int_equal(c[0].hosts[1], 3);
    clones_free(c, n);
    found_fini(&f);
}

static void no_memory(void **state)
{
    (void)state;
    struct buf text;
    size_t live = mem_live();
    bool fired = true;
    buf_init(&text, 4096);
    put_line(&text, "web1", 1);
    buf_puts(&text, "web2 SHA256:0123456789012345678901234567890123456789012\n");
    for (long n = 0; fired; n++) {
        struct found f;
        struct expect *x = NULL;
        struct clones *c = NULL;
        size_t count = 0;
        found_setup(&f);
        for (uint8_t i = 0; i < HOSTS; i++)
            show(&f, i, 1, i < 2 ? "10.0.0.1" : "10.0.0.2");
        mem_fail_after(n);
        enum rc rc = expect_new_text(&x, "list", (char *)text.data, text.len, NULL);
        if (rc == RC_OK)
            rc = expect_judge(x, &f, NULL);
        if (rc == RC_OK)
            rc = clones_find(&f, &c, &count, NULL);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_true(rc == RC_OK || rc == RC_NOMEM);
        clones_free(c, count);
        expect_free(x);
        found_fini(&f);
    }
    buf_fini(&text);
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_sees),
        cmocka_unit_test(judges),
        cmocka_unit_test(compares_with_a_list),
        cmocka_unit_test(finds_clones),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests_name("keyscan", tests, NULL, NULL);
}
