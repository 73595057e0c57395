/* controller/run/jump_text and jump: what people write, and the ways it comes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/jump.h"
#include "controller/run/jump_text.h"

static void show(char *dst, size_t cap, const struct jump_chain *c)
{
    size_t n = 0;
    dst[0] = '\0';
    for (uint32_t i = 0; i < c->count; i++) {
        const struct jump_host *h = &c->hosts[i];
        n += (size_t)snprintf(dst + n, cap - n, "%s%s%s%s:%u%s%s", i > 0 ? " " : "",
                              h->user != NULL ? h->user : "", h->user != NULL ? "@" : "", h->host,
                              h->port, h->key != NULL ? "+" : "", h->key != NULL ? h->key : "");
    }
}

static void test_chains(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"gate", "gate:0"},
        {"none", ""},
        {"NONE", ""},
        {"a,b , c:22", "a:0 b:0 c:22"},
        {"deploy@gate.example.com:2222", "deploy@gate.example.com:2222"},
        {"DOMAIN\\user@gate", "DOMAIN\\user@gate:0"},
        {"me@corp@gate", "me@corp@gate:0"},
        {"[::1]:2200,[fe80::1]", "::1:2200 fe80::1:0"},
        {"ssh://deploy@gate:22/", "deploy@gate:22"},
    };
    static const char *const bad[] = {"",      ",",        "a,",      "a b",
                                      "gate:", "gate:0",   "g:x",     "g:65536",
                                      "@gate", "user@",    "::1:22",  "[::1",
                                      "[a]22", "-oEvil=1", "a,-oX=1", "g%h",
                                      "$(x)",  "a\tb",     "a,,b",    "g:222222222222222222222"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct arena arena;
        struct jump_chain c;
        char text[512];
        arena_init(&arena);
        assert_int_equal(jump_read(&c, good[i][0], &arena, NULL), RC_OK);
        show(text, sizeof text, &c);
        assert_string_equal(text, good[i][1]);
        arena_fini(&arena);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena arena;
        struct jump_chain c;
        struct err e = {0};
        arena_init(&arena);
        if (jump_read(&c, bad[i], &arena, &e) != RC_PARSE)
            fail_msg("taken: %s", bad[i]);
        assert_true(e.msg[0] != '\0');
        arena_fini(&arena);
    }
    struct arena arena;
    struct jump_chain c;
    arena_init(&arena);
    assert_int_equal(jump_read(&c, "a,b,c,d,e,f,g,h", &arena, NULL), RC_OK);
    assert_int_equal(jump_read(&c, "a,b,c,d,e,f,g,h,i", &arena, NULL), RC_LIMIT);
    arena_fini(&arena);
}

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *chain, *user, *key, *alias;
        unsigned port;
    } good[] = {
        {"", NULL, NULL, NULL, NULL, 0},
        {"-C -o ControlMaster=auto -o ControlPersist=60s", NULL, NULL, NULL, NULL, 0},
        {"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null", NULL, NULL, NULL, NULL, 0},
        {"-J gate", "gate:0", NULL, NULL, NULL, 0},
        {"-Ja,b", "a:0 b:0", NULL, NULL, NULL, 0},
        {"-qJ gate", "gate:0", NULL, NULL, NULL, 0},
        {"-oProxyJump=gate -J other", "gate:0", NULL, NULL, NULL, 0},
        {"-o 'ProxyJump gate'", "gate:0", NULL, NULL, NULL, 0},
        {"-o proxyjump=none -J gate", "", NULL, NULL, NULL, 0},
        {"-o ProxyCommand='ssh -W %h:%p gate'", "gate:0", NULL, NULL, NULL, 0},
        {"-o ProxyCommand=\"/usr/bin/ssh -q -i ~/.ssh/k -p 2222 -l me gate -W [%h]:%p\"",
         "me@gate:2222+~/.ssh/k", NULL, NULL, NULL, 0},
        {"-o \"ProxyCommand=exec ssh -J outer -W %h:%p u@inner:7\"", "outer:0 u@inner:7", NULL,
         NULL, NULL, 0},
        {"-o ProxyCommand=none", "", NULL, NULL, NULL, 0},
        {"-l deploy -p 2222 -i /k -o HostKeyAlias=x", NULL, "deploy", "/k", "x", 2222},
        {"-o User=a -l b", NULL, "a", NULL, NULL, 0},
        {"-F /dev/null -E log -S none", NULL, NULL, NULL, NULL, 0},
    };
    static const char *const bad[][2] = {
        {"-o BindAddress=1.2.3.4", "BindAddress=1.2.3.4"},
        {"-b 1.2.3.4", "-b 1.2.3.4"},
        {"-F /etc/other", "-F /etc/other"},
        {"-L 1:a:2", "-L 1:a:2"},
        {"-o ProxyCommand='nc %h %p'", "nc %h %p"},
        {"-o ProxyCommand='ssh gate nc %h %p'", "ssh gate nc %h %p"},
        {"-o ProxyCommand='ssh -W other:22 gate'", "other:22"},
        {"-o ProxyCommand='ssh -o ProxyCommand=x -W %h:%p gate'", "ProxyCommand"},
        {"-J 'a b'", "a b"},
        {"-J", "lacks its value"},
        {"-o", "lacks its value"},
        {"-p x", "no port"},
        {"somewhere", "somewhere"},
        {"-o 'unfinished", "without its end"},
        {"-Z", "-Z"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct arena arena;
        struct jump_words w;
        struct err e = {0};
        char text[512];
        arena_init(&arena);
        if (jump_words_read(&w, good[i].text, &arena, &e) != RC_OK)
            fail_msg("%s: %s", good[i].text, e.msg);
        show(text, sizeof text, &w.chain);
        assert_int_equal(w.has_chain, good[i].chain != NULL);
        assert_string_equal(text, good[i].chain != NULL ? good[i].chain : "");
        assert_string_equal(w.user != NULL ? w.user : "", good[i].user != NULL ? good[i].user : "");
        assert_string_equal(w.key != NULL ? w.key : "", good[i].key != NULL ? good[i].key : "");
        assert_string_equal(w.key_alias != NULL ? w.key_alias : "",
                            good[i].alias != NULL ? good[i].alias : "");
        assert_int_equal(w.port, good[i].port);
        arena_fini(&arena);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena arena;
        struct jump_words w;
        struct err e = {0};
        arena_init(&arena);
        if (jump_words_read(&w, bad[i][0], &arena, &e) != RC_PARSE)
            fail_msg("taken: %s", bad[i][0]);
        if (strstr(e.msg, bad[i][1]) == NULL)
            fail_msg("%s: %s", bad[i][0], e.msg);
        arena_fini(&arena);
    }
    assert_true(jump_is_command("ssh -W %h:%p gate"));
    assert_false(jump_is_command("nc %h %p"));
    assert_false(jump_is_command("none"));
}

/* ---- ways ---- */

static const char hosts[] = "all:\n"
                            "  hosts:\n"
                            "    plain:\n"
                            "    web: {muster_jump: inner}\n"
                            "    same: {muster_jump: inner}\n"
                            "    two: {muster_jump: [inner, other]}\n"
                            "    inner: {ansible_host: 10.0.0.1, ansible_port: 7, ansible_user: i, "
                            "muster_jump: outer}\n"
                            "    outer: {ansible_host: 10.0.0.2, muster_jump: outer}\n"
                            "    a: {muster_jump: b}\n"
                            "    b: {muster_jump: c}\n"
                            "    c: {muster_jump: a}\n"
                            "    odd: {muster_jump: {x: y}}\n"
                            "    empty: {muster_jump: []}\n"
                            "    sealed: {muster_jump: '{{ gate }}'}\n";

struct fixture {
    struct inventory *inv;
    struct keys keys;
    struct arena arena;
    struct options options;
    struct target_defaults d;
    struct jumps j;
};

static enum rc open_jumps(struct fixture *f, const char *jump)
{
    struct err e = {0};
    memset(f, 0, sizeof *f);
    keys_init(&f->keys);
    arena_init(&f->arena);
    f->options.jump = jump;
    f->options.user = "typed";
    f->d = (struct target_defaults){.user = "typed",
                                    .own_user = "me",
                                    .user_given = true,
                                    .port_given = true,
                                    .port = 2200,
                                    .keys_given = true};
    enum rc rc = inventory_new(&f->inv, &e);
    if (rc == RC_OK)
        rc = inventory_add_text(f->inv, "hosts.yml", INVENTORY_AUTO, hosts, sizeof hosts - 1, &e);
    if (rc == RC_OK)
        rc = inventory_finish(f->inv, &e);
    return rc == RC_OK ? jumps_init(&f->j, &f->options, &f->d, f->inv, &f->keys, &f->arena, &e)
                       : rc;
}

static void close_jumps(struct fixture *f)
{
    jumps_fini(&f->j);
    inventory_free(f->inv);
    keys_fini(&f->keys);
    arena_fini(&f->arena);
}

static enum rc find(struct fixture *f, const char *name, struct target *t)
{
    enum rc rc =
        target_init(t, &f->d, f->inv, inventory_host_find(f->inv, name), &f->keys, &f->arena, NULL);
    return rc == RC_OK ? jumps_find(&f->j, t, NULL) : rc;
}

static const char *way_of(struct fixture *f, const char *name)
{
    static struct target t;
    assert_int_equal(find(f, name, &t), RC_OK);
    return t.bad != NULL ? t.bad : f->j.ways[t.way].text;
}

static void expect_bad(struct fixture *f, const char *name, const char *words)
{
    const char *bad = way_of(f, name);
    if (strstr(bad, words) == NULL)
        fail_msg("%s: %s", name, bad);
}

static void test_ways(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(open_jumps(&f, NULL), RC_OK);
    assert_string_equal(way_of(&f, "plain"), "");
    assert_string_equal(way_of(&f, "web"), "outer > inner");
    assert_int_equal(f.j.hop_count, 2);
    assert_string_equal(way_of(&f, "same"), "outer > inner");
    assert_int_equal(f.j.hop_count, 2);           /* shared */
    assert_string_equal(way_of(&f, "outer"), ""); /* not behind itself */
    assert_string_equal(way_of(&f, "two"), "outer > inner or other");
    const struct target *inner = &f.j.hops[1].target;
    assert_string_equal(inner->address, "10.0.0.1");
    assert_string_equal(inner->user, "i");
    assert_int_equal(inner->port, 7);
    const struct target *outer = &f.j.hops[0].target;
    assert_string_equal(outer->user, "me"); /* what was typed is for the hosts */
    assert_int_equal(outer->port, 22);
    expect_bad(&f, "a", "a is behind b is behind c is behind a");
    expect_bad(&f, "odd", "muster_jump");
    expect_bad(&f, "empty", "empty list");
    expect_bad(&f, "sealed", "hosts.yml:");
    close_jumps(&f);
}

static void test_typed(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(open_jumps(&f, "x:9,u@y"), RC_OK);
    assert_string_equal(way_of(&f, "plain"), "x > y");
    assert_string_equal(way_of(&f, "web"), "x > y");
    assert_int_equal(f.j.hops[0].target.port, 9);
    assert_string_equal(f.j.hops[1].target.user, "u");
    close_jumps(&f);
    assert_int_equal(open_jumps(&f, "none"), RC_OK);
    assert_string_equal(way_of(&f, "web"), "");
    close_jumps(&f);
    assert_int_equal(open_jumps(&f, "inner"), RC_OK); /* behind its own */
    assert_string_equal(way_of(&f, "plain"), "outer > inner");
    close_jumps(&f);
    assert_int_equal(open_jumps(&f, "a:b:c"), RC_USAGE);
    close_jumps(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct fixture f;
        struct target t = {0};
        size_t live = mem_live();
        assert_int_equal(open_jumps(&f, NULL), RC_OK);
        mem_fail_after(n);
        enum rc rc = find(&f, "two", &t);
        fired = mem_fail_fired() > 0;
        mem_fail_after(-1);
        assert_true(rc == RC_OK ? !fired || t.bad == NULL : rc == RC_NOMEM && fired);
        if (rc == RC_OK && t.bad == NULL)
            assert_string_equal(f.j.ways[t.way].text, "outer > inner or other");
        close_jumps(&f);
        assert_int_equal(mem_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chains), cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_ways), cmocka_unit_test(test_typed),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
