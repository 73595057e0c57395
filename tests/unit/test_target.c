/* controller/run/target and guard: connection variables, and the word more for many hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/guard.h"
#include "controller/run/target.h"
#include "controller/run/target_config.h"

static const char hosts_yml[] =
    "all:\n"
    "  hosts:\n"
    "    plain:\n"
    "    addressed: {ansible_host: 10.0.0.7, ansible_port: '2222', ansible_user: deploy}\n"
    "    ours: {ansible_host: a, muster_host: b, muster_port: 7, ansible_port: 8}\n"
    "    alias: {ansible_host: 10.0.0.8, muster_host_key_alias: bastion}\n"
    "    template: {ansible_host: '{{ ip }}'}\n"
    "    port: {ansible_port: ssh}\n"
    "    harmless: {ansible_ssh_common_args: '-o StrictHostKeyChecking=no'}\n"
    "    here: {ansible_connection: local}\n"
    "    nokey: {ansible_ssh_private_key_file: /nonexistent/key}\n"
    "  children:\n"
    "    prod:\n"
    "      hosts: {db1: , db2: }\n"
    "      vars: {muster_protected: true}\n";

struct fixture {
    struct inventory *inv;
    struct arena arena;
    struct keys keys;
    struct target_defaults defaults;
    size_t live;
};

static void start(struct fixture *f)
{
    struct err e = {0};
    f->live = mem_live();
    assert_int_equal(inventory_new(&f->inv, &e), RC_OK);
    enum rc rc = inventory_add_text(f->inv, "hosts.yml", INVENTORY_YAML, hosts_yml,
                                    sizeof hosts_yml - 1, &e);
    if (rc != RC_OK || inventory_finish(f->inv, &e) != RC_OK)
        fail_msg("%s", e.msg);
    arena_init(&f->arena);
    keys_init(&f->keys);
    f->defaults = (struct target_defaults){.user = "me", .port = 22};
}

static void finish(struct fixture *f)
{
    keys_fini(&f->keys);
    arena_fini(&f->arena);
    inventory_free(f->inv);
    assert_int_equal(mem_live(), f->live);
}

static struct target target_of(struct fixture *f, const char *name)
{
    struct target t;
    struct err e = {0};
    const struct inv_host *h = inventory_host_find(f->inv, name);
    assert_non_null(h);
    assert_int_equal(target_init(&t, &f->defaults, f->inv, h, &f->keys, &f->arena, &e), RC_OK);
    return t;
}

static void test_variables(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    struct target t = target_of(&f, "plain");
    assert_null(t.bad);
    assert_string_equal(t.address, "plain");
    assert_string_equal(t.key_name, "plain");
    assert_string_equal(t.user, "me");
    assert_int_equal(t.port, 22);
    t = target_of(&f, "addressed");
    assert_string_equal(t.address, "10.0.0.7");
    assert_string_equal(t.key_name, "10.0.0.7");
    assert_string_equal(t.user, "deploy");
    assert_int_equal(t.port, 2222);
    t = target_of(&f, "ours");
    assert_string_equal(t.address, "b");
    assert_int_equal(t.port, 7);
    t = target_of(&f, "alias");
    assert_string_equal(t.key_name, "bastion");
    assert_true(t.alias);
    t = target_of(&f, "harmless");
    assert_null(t.bad);
    finish(&f);
}

static void test_command_line_wins(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    f.defaults = (struct target_defaults){
        .user = "root", .user_given = true, .port = 2200, .port_given = true};
    struct target t = target_of(&f, "addressed");
    assert_string_equal(t.user, "root");
    assert_int_equal(t.port, 2200);
    finish(&f);
}

static void test_unusable_hosts_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *host, *words;
    } cases[] = {{"template", "hosts.yml:7:"},
                 {"port", "ansible_port"},
                 {"here", "over SSH only"},
                 {"nokey", "/nonexistent/key"}};
    struct fixture f;
    start(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct target t = target_of(&f, cases[i].host);
        assert_non_null(t.bad);
        if (strstr(t.bad, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].host, t.bad);
    }
    finish(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct fixture f;
        start(&f);
        const struct inv_host *h = inventory_host_find(f.inv, "addressed");
        struct target t;
        mem_fail_after(n);
        enum rc rc = target_init(&t, &f.defaults, f.inv, h, &f.keys, &f.arena, NULL);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        finish(&f);
    }
}

static enum rc guard(struct fixture *f, const struct options *o, const char *first, size_t count,
                     struct err *e)
{
    static struct inv_host *hosts[200];
    for (size_t i = 0; i < count; i++)
        hosts[i] = inventory_host_find(f->inv, first);
    struct selection s = {hosts, count};
    return guard_check(o, f->inv, &s, e);
}

static void test_guard(void **state)
{
    (void)state;
    struct fixture f;
    struct err e = {0};
    start(&f);
    struct options o = {.guard = 50};
    assert_int_equal(guard(&f, &o, "plain", 50, &e), RC_OK);
    o.expect_set = true;
    o.expect_min = 3;
    o.expect_max = 4;
    assert_int_equal(guard(&f, &o, "plain", 3, &e), RC_OK);
    assert_int_equal(guard(&f, &o, "plain", 5, &e), RC_USAGE);
    assert_non_null(strstr(e.msg, "selects 5 hosts, --expect says 3 to 4"));
    o = (struct options){.guard = 50, .yes = true};
    assert_int_equal(guard(&f, &o, "plain", 200, &e), RC_OK);
    assert_int_equal(guard(&f, &o, "db1", 1, &e), RC_USAGE);
    assert_non_null(strstr(e.msg, "--allow-protected"));
    o.allow_protected = true;
    assert_int_equal(guard(&f, &o, "db1", 1, &e), RC_OK);
    o = (struct options){.guard = 0};
    assert_int_equal(guard(&f, &o, "plain", 200, &e), RC_OK);
    finish(&f);
}

static const char ssh_config[] = "Host plain\n"
                                 "  HostName %h.example.com\n"
                                 "  User deploy\n"
                                 "  Port 2222\n"
                                 "  HostKeyAlias alias\n"
                                 "  IdentityFile /nonexistent/%h\n"
                                 "  UserKnownHostsFile /k/%n\n"
                                 "  StrictHostKeyChecking no\n"
                                 "  ConnectTimeout 30\n"
                                 "  KexAlgorithms +diffie-hellman-group14-sha1\n"
                                 "Host 10.0.0.7\n  User nobody\n  Port 1\n"
                                 "Host db1\n  ProxyCommand nc %h %p\n"
                                 "Host db2\n  ProxyJump gate\n"
                                 "Host port\n  UserKnownHostsFile %Z\n"
                                 "Host alias\n  Port 3\n";

static enum rc load_config(struct target_config **out, struct options *o, const char *path)
{
    *o = (struct options){.ssh_config = path, .connect_timeout_ms = 10000, .no_openssh = true};
    return target_config_new(out, o, NULL);
}

static void test_ssh_config(void **state)
{
    (void)state;
    struct fixture f;
    struct options o;
    start(&f);
    char path[] = "/tmp/muster-target-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, ssh_config, sizeof ssh_config - 1), sizeof ssh_config - 1);
    close(fd);
    assert_int_equal(load_config(&f.defaults.config, &o, path), RC_OK);
    f.defaults.key_count = 1;
    struct target t = target_of(&f, "plain");
    assert_string_equal(t.address, "plain.example.com");
    assert_string_equal(t.user, "deploy");
    assert_string_equal(t.key_name, "alias");
    assert_true(t.alias && t.legacy && t.trust.own_policy && t.trust.set == 1);
    assert_int_equal(t.trust.policy, HOST_KEYS_OFF);
    assert_int_equal(t.port, 2222);
    assert_int_equal(t.key_count, 0);
    assert_int_equal(t.connect_ms, 30000);
    assert_int_equal(target_config_longest_ms(f.defaults.config), 30000);
    t = target_of(&f, "addressed"); /* the inventory wins */
    assert_string_equal(t.user, "deploy");
    assert_int_equal(t.port, 2222);
    assert_int_equal(t.key_count, 1);
    t = target_of(&f, "db1");
    assert_non_null(t.bad);
    assert_non_null(strstr(t.bad, "ProxyCommand at "));
    t = target_of(&f, "db2");
    assert_null(t.bad);
    assert_string_equal(t.config_jump, "gate");
    target_config_free(f.defaults.config);
    unlink(path);
    finish(&f);
}

static void test_ssh_config_without_memory(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-target-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, ssh_config, sizeof ssh_config - 1), sizeof ssh_config - 1);
    close(fd);
    int fired = 1;
    for (long n = 0; fired; n++) {
        struct fixture f;
        struct options o;
        struct target t;
        start(&f);
        mem_fail_after(n);
        enum rc rc = load_config(&f.defaults.config, &o, path);
        if (rc == RC_OK)
            rc = target_init(&t, &f.defaults, f.inv, inventory_host_find(f.inv, "plain"), &f.keys,
                             &f.arena, NULL);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        target_config_free(f.defaults.config);
        finish(&f);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_ssh_config),
        cmocka_unit_test(test_ssh_config_without_memory),
        cmocka_unit_test(test_command_line_wins),
        cmocka_unit_test(test_unusable_hosts_say_why),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_guard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
