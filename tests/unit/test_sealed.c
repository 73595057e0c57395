/* inventory/sealed and lookup: files of variables that are sealed as a whole, with an opener that
 * takes the first line off. The real one is tested in test_unseal and on real hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>

#include "common/arena.h"
#include "common/log.h"
#include "common/mem.h"
#include "inventory/inventory.h"
#include "inventory/yamldoc.h"
#include "inventory/yamlheap.h"

#define MARK "$MUSTER_VAULT;1\n"

static char folder[64];
static char warning[512];
static unsigned warnings, opened;
static enum rc answer; /* of the opener */
static struct arena kept;

static void keep_warning(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    snprintf(warning, sizeof warning, "%s", line);
    warnings++;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/muster-sealed-XXXXXX");
    warning[0] = '\0';
    warnings = opened = 0;
    answer = RC_OK;
    arena_init(&kept);
    log_set_sink(keep_warning, NULL);
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    arena_fini(&kept);
    log_set_sink(NULL, NULL);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static enum rc open_value(void *user, const struct value *sealed, const char *name,
                          struct value *out, struct err *e)
{
    (void)user;
    (void)e;
    assert_string_equal(name, "ansible_password");
    *out = *sealed;
    out->type = VALUE_STRING;
    return RC_OK;
}

static enum rc open_file(void *user, const char *text, size_t len, inventory_plain_fn take,
                         void *taker, struct err *e)
{
    (void)user;
    size_t mark = strlen(MARK);
    opened++;
    if (answer != RC_OK)
        return err_set(e, answer, "no luck");
    char *copy = mem_memdup(text, len);
    enum rc rc = copy != NULL ? take(taker, copy + mark, len - mark, e) : err_nomem(e);
    mem_free(copy);
    return rc;
}

static enum rc keep(void *user, const char *text, size_t len, const char **out, size_t *out_len,
                    struct err *e)
{
    (void)user;
    *out = arena_strndup(&kept, text, len);
    *out_len = len;
    return *out != NULL ? RC_OK : err_nomem(e);
}

static const struct inventory_opener opener = {
    .value = open_value, .file = open_file, .keep = keep};

static enum rc load(struct inventory **out, struct err *e)
{
    char path[256];
    snprintf(path, sizeof path, "%s/hosts", folder);
    enum rc rc = inventory_new(out, e);
    if (rc == RC_OK)
        rc = inventory_add_source(*out, path, e);
    return rc == RC_OK ? inventory_finish(*out, e) : rc;
}

static struct inventory *loaded(void)
{
    struct inventory *inv;
    struct err e = {0};
    if (load(&inv, &e) != RC_OK)
        fail_msg("%s", e.msg);
    return inv;
}

/* "(none)", or the error's message. */
static const char *conn(const struct inventory *inv, const char *host, const char *name)
{
    static char text[1024];
    struct value space;
    const struct value *v;
    struct err e = {0};
    struct buf b;
    buf_init(&b, sizeof text - 1);
    enum rc rc =
        inventory_host_conn_open(inv, inventory_host_find(inv, host), name, &space, &v, &e);
    if (rc == RC_OK && v != NULL)
        rc = value_text(v, &b, &e);
    snprintf(text, sizeof text, "%s", rc != RC_OK ? e.msg : v == NULL ? "(none)" : buf_cstr(&b));
    if (rc != RC_OK)
        assert_null(strstr(text, "SECRET"));
    buf_fini(&b);
    return text;
}

static void files(void)
{
    put("hosts", "h ansible_port=1\nother\n[g]\nh\n");
    put("group_vars/g/a.yml", "ansible_user: a\nansible_password: a\n");
    put("group_vars/g/b.yml", MARK "ansible_user: b\nansible_port: 2\nansible_become_pass: true\n"
                                   "ansible_password: !vault x\nempty: ''\nlist: [SECRET]\n"
                                   "ansible_host:\nansible_shell: '{{ SECRET }}'\n");
    put("group_vars/g/c.yml", "ansible_user: c\nansible_via: '{{ vault_via }}'\n"
                              "ansible_list: '{{list}}'\nansible_empty: '{{ empty }}'\n");
    put("group_vars/all.yml",
        MARK "muster_protected: yes\nvault_via: 'SECRET but kept'\nansible_ssh_pass: older\n");
}

static void precedence(void **state)
{
    (void)state;
    files();
    struct inventory *inv = loaded();
    struct inv_host *h = inventory_host_find(inv, "h");
    assert_string_equal(conn(inv, "h", "user"), "c");
    assert_string_equal(conn(inv, "h", "password"), "a"); /* no opener */
    assert_int_equal(opened, 0);
    inventory_set_opener(inv, &opener);
    assert_string_equal(conn(inv, "h", "user"), "c");
    assert_non_null(strstr(warning, "all.yml: muster_protected protects nothing"));
    assert_int_equal(opened, 2); /* muster_user might have been in any */
    assert_string_equal(conn(inv, "h", "port"), "1");
    assert_string_equal(conn(inv, "h", "become_password"), "True");
    assert_string_equal(conn(inv, "h", "password"), "older"); /* as Ansible: the older name */
    assert_string_equal(conn(inv, "other", "password"), "older");
    assert_string_equal(conn(inv, "h", "via"), "SECRET but kept");
    assert_string_equal(conn(inv, "h", "host"), "(none)");
    assert_string_equal(conn(inv, "h", "empty"), "(none)");
    assert_non_null(strstr(conn(inv, "h", "list"), "b.yml:6:7: a text or a number is needed"));
    assert_non_null(strstr(conn(inv, "h", "shell"), "b.yml:8:16: a template is needed here"));
    assert_int_equal(opened, 2);
    assert_null(inventory_host_var(inv, h, "vault_via")); /* other readers see nothing of it */
    put("group_vars/all.yml", MARK "x: 1\n");
    inventory_set_opener(inv, NULL);
    assert_string_equal(conn(inv, "h", "password"), "a");
    inventory_free(inv);
    inv = loaded();
    inventory_set_opener(inv, &opener);
    assert_string_equal(conn(inv, "h", "password"), "x"); /* !vault, inside */
    inventory_free(inv);
}

static void templates(void **state)
{
    (void)state;
    put("hosts", "h\n");
    put("group_vars/all.yml",
        "x: X\n_y9: '{{x}}'\nansible_a: '{{x}}'\nansible_b: '{{   x  }}'\nansible_c: '{{_y9}}'\n"
        "ansible_d: '{{ x }} '\nansible_e: '{{ x.y }}'\nansible_f: '{{ 9x }}'\n"
        "ansible_g: '{{ ansible_g }}'\nansible_h: '{{}}'\nansible_i: '{{ nobody }}'\n"
        "ansible_j: !unsafe '{{ x }}'\nansible_k: '{{ x y }}'\nansible_l: '{{x}'\n");
    struct inventory *inv = loaded();
    assert_string_equal(conn(inv, "h", "a"), "X");
    assert_string_equal(conn(inv, "h", "b"), "X");
    for (const char *name = "cdefghik"; *name != '\0'; name++)
        assert_non_null(strstr(conn(inv, "h", (char[]){*name, '\0'}), "a template is needed here"));
    assert_string_equal(conn(inv, "h", "j"), "{{ x }}");
    inventory_free(inv);
}

static void what_does_not_open(void **state)
{
    (void)state;
    files();
    struct inventory *inv = loaded();
    inventory_set_opener(inv, &opener);
    answer = RC_CRYPTO;
    assert_non_null(strstr(conn(inv, "h", "user"), "b.yml: sealed: no luck"));
    assert_non_null(strstr(conn(inv, "h", "port"), "b.yml: sealed: no luck"));
    assert_int_equal(opened, 1);
    assert_int_equal(warnings, 0);
    inventory_free(inv);
    inv = loaded();
    inventory_set_opener(inv, &opener);
    answer = RC_NOTFOUND;
    assert_string_equal(conn(inv, "h", "user"), "c");
    assert_string_equal(conn(inv, "h", "password"), "a");
    assert_int_equal(warnings, 2);
    assert_non_null(strstr(warning, "all.yml: sealed: no luck; its variables are not known here"));
    inventory_free(inv);
}

static void what_is_no_file(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {MARK, "(none)"},
        {MARK "{}\n", "(none)"},
        {MARK "- SECRET\n", "all.yml: a file of variables is a mapping"},
        {MARK "a: *SECRET\n", "all.yml:1:4 of the opened file: not a YAML file of variables"},
        {MARK "SECRET: 1\nSECRET: 2\n", "all.yml:2:1 of the opened file"},
        {MARK "a: !SECRET x\n", "all.yml:1:4 of the opened file"},
        {MARK "a: \xff SECRET\n", "all.yml: what was sealed is not a YAML file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("hosts", "h\n");
        put("group_vars/all.yml", cases[i].text);
        struct inventory *inv = loaded();
        inventory_set_opener(inv, &opener);
        for (int again = 0; again < 2; again++)
            if (strstr(conn(inv, "h", "user"), cases[i].says) == NULL)
                fail_msg("%zu: %s", i, conn(inv, "h", "user"));
        inventory_free(inv);
    }
}

static void without_memory(void **state)
{
    (void)state;
    struct value space;
    const struct value *v;
    struct err e;
    bool fired = true;
    files();
    for (long n = 0; fired; n++) {
        size_t live = mem_live();
        struct inventory *inv = NULL;
        mem_fail_after(n);
        enum rc rc = load(&inv, &e);
        if (rc == RC_OK) {
            inventory_set_opener(inv, &opener);
            rc =
                inventory_host_conn_open(inv, inventory_host_find(inv, "h"), "via", &space, &v, &e);
        }
        fired = mem_fail_fired() != 0;
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        /* It was not the file's fault: it opens the next time. */
        if (inv != NULL && inventory_host_find(inv, "h") != NULL && rc == RC_OK)
            assert_string_equal(conn(inv, "h", "via"), "SECRET but kept");
        inventory_free(inv);
        arena_fini(&kept);
        assert_int_equal(mem_live(), live);
    }
}

/* libyaml's memory, as long as a document is read, and overwritten once it is. */
static void heap(void **state)
{
    (void)state;
    struct yamlheap h;
    struct arena arena;
    const struct value *v;
    struct err e = {0};
    static char text[40000];
    memset(text, 'x', sizeof text - 2);
    memcpy(text, "k: \"", 4);
    text[sizeof text - 2] = '"';
    arena_init(&arena);
    yamlheap_init(&h);
    for (int i = 0; i < 2; i++) {
        size_t before = h.arena.used;
        yamlheap_enter(&h);
        enum rc rc = yamldoc_parse(&arena, "f", text, strlen(text), &v, &e);
        assert_true(yamlheap_used(&h));
        assert_int_equal(h.live, 0);
        yamlheap_leave(&h);
        assert_int_equal(rc, RC_OK);
        assert_true(i == 0 || h.arena.used == before); /* the second takes what the first gave */
    }
    for (unsigned class = 0; class < YAMLHEAP_CLASSES; class ++) {
        size_t room = ((size_t)32 << class) - 16;
        for (const char *p = h.spare[class], *next; p != NULL; p = next) {
            memcpy(&next, p, sizeof next);
            for (size_t i = sizeof next; i < room; i++)
                assert_int_equal(p[i], 0);
        }
    }
    yamlheap_fini(&h);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(templates, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(heap, setup, teardown),
    };
    return cmocka_run_group_tests_name("sealed", tests, NULL, NULL);
}
