/* controller/sshconfig: what a file of ssh_config says of a host. The comparison with ssh itself is
 * tests/oracle/test_ssh_config.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "controller/sshconfig/sshconfig.h"
#include "controller/sshconfig/tokens.h"

static struct sshconfig_answer answer;
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

static struct sshconfig *load(const char *text)
{
    struct sshconfig *c = NULL;
    struct err e = {0};
    assert_int_equal(sshconfig_new(&c, &e), RC_OK);
    if (sshconfig_load_text(c, "config", "/home/me", text, strlen(text), &e) != RC_OK)
        fail_msg("%s", e.msg);
    return c;
}

static void ask(struct sshconfig *c, const char *host, const char *user)
{
    struct sshconfig_query q = {.host = host, .user = user, .local_user = "me"};
    struct err e = {0};
    if (sshconfig_lookup(c, &q, &answer, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static void test_first_value_wins(void **state)
{
    (void)state;
    struct sshconfig *c = load("Host web1\n Port 1\n IdentityFile a\nHost web*\n Port 2\n User u\n"
                               " IdentityFile b\nUserKnownHostsFile x \"y z\"\n");
    ask(c, "web1", NULL);
    assert_string_equal(answer.value[SSHWORD_PORT], "1");
    assert_string_equal(answer.where[SSHWORD_PORT], "config:2");
    assert_string_equal(answer.value[SSHWORD_USER], "u");
    assert_int_equal(answer.identity_count, 2);
    assert_string_equal(answer.identities[1], "b");
    assert_int_equal(answer.user_known_hosts.count, 2);
    assert_string_equal(answer.user_known_hosts.items[1], "y z");
    assert_string_equal(answer.hostname, "web1");
    ask(c, "db", NULL);
    assert_null(answer.value[SSHWORD_PORT]);
    assert_int_equal(answer.identity_count, 0);
    sshconfig_free(c);
}

static void test_a_user_that_is_decided(void **state)
{
    (void)state;
    struct sshconfig *c = load("Match user root\n Port 1\nMatch user me\n Port 2\n");
    ask(c, "h", "root");
    assert_string_equal(answer.value[SSHWORD_PORT], "1");
    ask(c, "h", NULL);
    assert_string_equal(answer.value[SSHWORD_PORT], "2");
    sshconfig_free(c);
}

static void test_options_come_first(void **state)
{
    (void)state;
    struct sshconfig *c = NULL;
    struct err e = {0};
    assert_int_equal(sshconfig_new(&c, NULL), RC_OK);
    assert_int_equal(sshconfig_add_option(c, "AddressFamily=inet6", &e), RC_OK);
    assert_int_equal(sshconfig_add_option(c, "Bogus=1", &e), RC_CONFIG);
    assert_int_equal(sshconfig_add_option(c, "ForwardAgent=yes", &e), RC_CONFIG);
    assert_int_equal(sshconfig_add_option(c, "Host x", &e), RC_CONFIG);
    assert_int_equal(sshconfig_add_option(c, "AddressFamily=x", &e), RC_CONFIG);
    const char text[] = "AddressFamily inet\nPort 7\n";
    assert_int_equal(sshconfig_load_text(c, "f", "/", text, sizeof text - 1, &e), RC_OK);
    ask(c, "h", NULL);
    assert_string_equal(answer.value[SSHWORD_FAMILY], "inet6");
    assert_string_equal(answer.value[SSHWORD_PORT], "7");
    sshconfig_free(c);
}

static void test_only_ssh_knows(void **state)
{
    (void)state;
    struct sshconfig *c = load("Match host a exec \"x\"\n Port 1\nMatch host b tagged t\n"
                               "Match user nobody exec y\n Port 3\nHost *\n Port 4\n");
    ask(c, "a", NULL);
    assert_string_equal(answer.undecided, "config:1");
    ask(c, "b", NULL); /* the block changes nothing */
    assert_null(answer.undecided);
    ask(c, "c", NULL);
    assert_null(answer.undecided);
    assert_string_equal(answer.value[SSHWORD_PORT], "4");
    sshconfig_free(c);
}

static void test_errors_have_their_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"Port 1\n  Bogus x\n", "config:2:3: 'Bogus'"},
        {"Port 22x\n", "config:1:6: Port '22x'"},
        {"Host a\nPort = 1 2\n", "config:2:10: Port takes one value"},
        {"Match host\n", "config:1:7: Match host needs"},
        {"Match color red\n", "config:1:7: Match 'color'"},
        {"Match host a all\n", "'all' cannot stand"},
        {"User \"x\n", "config:1:6: a quote is not closed"},
        {"IdentitiesOnly perhaps\n", "say yes or no"},
        {"ConnectTimeout 5x\n", "write 10 or 1m30s"},
        {"AddressFamily 4\n", "say any, inet or inet6"},
        {"StrictHostKeyChecking x\n", "accept-new"},
        {"ProxyJump\n", "ProxyJump has no value"},
        {"Host \"\"\n", "empty pattern"},
        {"Include ~other/x\nInclude\n", "Include names no file"},
        {"=\n", "a word of ssh_config"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sshconfig *c = NULL;
        struct err e = {0};
        assert_int_equal(sshconfig_new(&c, NULL), RC_OK);
        assert_int_equal(
            sshconfig_load_text(c, "config", "/", cases[i][0], strlen(cases[i][0]), &e), RC_CONFIG);
        if (strstr(e.msg, cases[i][1]) == NULL)
            fail_msg("%s: %s", cases[i][0], e.msg);
        sshconfig_free(c);
    }
    struct sshconfig *c = NULL;
    assert_int_equal(sshconfig_new(&c, NULL), RC_OK);
    assert_int_equal(sshconfig_load_text(c, "config", "/", "Port 1\0\n", 8, NULL), RC_CONFIG);
    sshconfig_free(c);
}

static void test_host_names(void **state)
{
    (void)state;
    struct err e = {0};
    struct sshconfig *c = load("Host A\n HostName %h.Example%%x\nHost b\n HostName %p\n");
    ask(c, "A", NULL);
    assert_string_equal(answer.hostname, "a.example%x");
    struct sshconfig_query q = {.host = "b", .local_user = "me"};
    assert_int_equal(sshconfig_lookup(c, &q, &answer, &e), RC_CONFIG);
    assert_non_null(strstr(e.msg, "config:4"));
    char name[2000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    q.host = name;
    assert_int_equal(sshconfig_lookup(c, &q, &answer, &e), RC_LIMIT);
    sshconfig_free(c);
}

static void test_files_that_others_may_write(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-sshconfig-XXXXXX";
    int fd = mkstemp(path);
    struct err e = {0};
    assert_int_equal(write(fd, "Port 5\n", 7), 7);
    assert_int_equal(fchmod(fd, 0666), 0);
    struct sshconfig *c = NULL;
    assert_int_equal(sshconfig_new(&c, NULL), RC_OK);
    assert_int_equal(sshconfig_load(c, path, "/", true, true, &e), RC_CONFIG);
    assert_non_null(strstr(e.msg, "chmod go-w"));
    assert_int_equal(sshconfig_load(c, path, "/", true, false, &e), RC_OK);
    assert_int_equal(sshconfig_load(c, "/nonexistent/x", "/", true, true, &e), RC_NOTFOUND);
    ask(c, "h", NULL);
    assert_string_equal(answer.value[SSHWORD_PORT], "5");
    sshconfig_free(c);
    close(fd);
    unlink(path);
}

/* A block per host: each question meets its own and the few with wildcards. The bound is a
 * hundredfold of what it takes; going through all the blocks would pass it. */
static void test_many_blocks(void **state)
{
    (void)state;
    enum { HOSTS = 50000 };
    struct buf text;
    char name[32];
    buf_init(&text, 1 << 28);
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(buf_printf(&text, "Host h%d\n Port %d\n", i, 1 + i % 65535), RC_OK);
    assert_int_equal(buf_puts(&text, "Host h*\n User u\n"), RC_OK);
    struct sshconfig *c = load(buf_cstr(&text));
    uint64_t begin = clock_ms();
    for (int i = 0; i < HOSTS; i++) {
        snprintf(name, sizeof name, "h%d", i);
        ask(c, name, NULL);
        assert_int_equal(atoi(answer.value[SSHWORD_PORT]), 1 + i % 65535);
        assert_string_equal(answer.value[SSHWORD_USER], "u");
    }
    assert_true(clock_ms() - begin < 30000);
    sshconfig_free(c);
    buf_fini(&text);
}

static const char *two_variables(const char *name)
{
    return strcmp(name, "KEYS") == 0 ? "/keys" : NULL;
}

static void test_tokens(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"~/.ssh/id_%h", "/home/me/.ssh/id_web1.example.com"},
        {"%d/%u/%r/%n/%k/%p/%i/%l/%L/%%", "/home/me/me/deploy/web1/web1/22/7/here.lan/here/%"},
        {"${KEYS}/%h$x", "/keys/web1.example.com$x"},
        {"plain", "plain"},
        {"%C", NULL},
        {"${NOT}", NULL},
        {"${KEYS", NULL},
        {"~other/x", NULL},
    };
    struct sshtokens t = {.original = "web1",
                          .hostname = "web1.example.com",
                          .user = "deploy",
                          .local_user = "me",
                          .local_host = "here.lan",
                          .home = "/home/me",
                          .port = 22,
                          .uid = 7,
                          .env_get = two_variables};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        struct err e = {0};
        buf_init(&out, 4096);
        enum rc rc = sshtokens_expand(&t, cases[i][0], &out, &e);
        assert_int_equal(rc, cases[i][1] != NULL ? RC_OK : RC_CONFIG);
        if (rc == RC_OK)
            assert_string_equal(buf_cstr(&out), cases[i][1]);
        buf_fini(&out);
    }
}

static enum rc once(void)
{
    static const char text[] =
        "Host a b*\n Port 1\n IdentityFile x\nMatch user me host a\n User u\n"
        "Include /nonexistent/*\nProxyJump z\nHost c\n";
    struct sshconfig *c = NULL;
    struct sshconfig_query q = {.host = "a", .local_user = "me"};
    struct err e = {0};
    enum rc rc = sshconfig_new(&c, &e);
    if (rc != RC_OK)
        return rc;
    rc = sshconfig_add_option(c, "Port=2", &e);
    if (rc == RC_OK)
        rc = sshconfig_load_text(c, "config", "/", text, sizeof text - 1, &e);
    if (rc == RC_OK)
        rc = sshconfig_lookup(c, &q, &answer, &e);
    sshconfig_free(c);
    return rc;
}

static void test_without_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        mem_fail_after(n);
        enum rc rc = once();
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(mem_live(), live);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (!fired)
            return;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_value_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_user_that_is_decided, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options_come_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_ssh_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_have_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_that_others_may_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
