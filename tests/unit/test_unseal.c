/* controller/secrets/unseal: sealed values of an inventory, each opened once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/secrets/unseal.h"
#include "controller/vault/vault.h"

static char key_path[] = "/tmp/muster-unseal-XXXXXX";

struct fixture {
    struct secrets *secrets;
    struct unseal *unseal;
    struct buf text; /* sealed for db_password */
    struct value value;
};

static void seal(struct buf *out, const char *name, const char *plain)
{
    struct secret *key;
    struct vault *v;
    buf_init(out, VAULT_MAX_TEXT);
    assert_int_equal(secret_copy(&key, "the key", 7, NULL), RC_OK);
    assert_int_equal(vault_new(&v, key, NULL), RC_OK);
    vault_set_cost(v, (struct vault_cost){1, 8192});
    assert_int_equal(vault_seal(v, name, plain, strlen(plain), out, NULL), RC_OK);
    vault_free(v);
}

static struct value value_of(const struct buf *text, size_t len)
{
    struct value v = {.type = VALUE_VAULT, .place = {"group_vars/db.yml", 3, 14}};
    v.u.string.data = (const char *)text->data;
    v.u.string.len = len;
    return v;
}

static void open_fixture(struct fixture *f, const char *key_file)
{
    struct key_source from = {.file = key_file, .fd = -1, .what = "vault key"};
    memset(f, 0, sizeof *f);
    seal(&f->text, "db_password", "tr0ub4dor");
    f->value = value_of(&f->text, f->text.len);
    assert_int_equal(secrets_new(&f->secrets, NULL), RC_OK);
    assert_int_equal(unseal_new(&f->unseal, &from, f->secrets, NULL), RC_OK);
}

static void close_fixture(struct fixture *f)
{
    unseal_free(f->unseal);
    secrets_free(f->secrets);
    buf_fini(&f->text);
}

static void opens_once(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct fixture f;
    struct value out;
    uint32_t id = 0, again = 0;
    open_fixture(&f, key_path);
    assert_int_equal(unseal_value(f.unseal, &f.value, "db_password", &id, NULL), RC_OK);
    assert_string_equal(secrets_text(f.secrets, id, NULL), "tr0ub4dor");
    f.value.u.string.len = 5; /* nobody looks at it again */
    assert_int_equal(unseal_value(f.unseal, &f.value, "db_password", &again, NULL), RC_OK);
    assert_int_equal(again, id);
    struct value chomped = value_of(&f.text, f.text.len - 1); /* "!vault |-" */
    struct inventory_opener opener = unseal_opener(f.unseal);
    assert_int_equal(opener.value(opener.user, &chomped, NULL, &out, NULL), RC_OK);
    assert_int_equal(out.type, VALUE_STRING);
    assert_string_equal(out.u.string.data, "tr0ub4dor");
    assert_ptr_equal(out.u.string.data, secrets_text(f.secrets, id, NULL)); /* no copy */
    assert_int_equal(out.place.line, 3);
    close_fixture(&f);
    unseal_free(NULL);
    assert_int_equal(mem_live(), live);
}

static void expect(struct fixture *f, const struct value *v, const char *name, enum rc rc,
                   const char *says)
{
    struct err e = {0};
    uint32_t id = 77;
    assert_int_equal(unseal_value(f->unseal, v, name, &id, &e), rc);
    assert_int_equal(id, 0);
    if (strstr(e.msg, "group_vars/db.yml:3:14: sealed: ") != e.msg || strstr(e.msg, says) == NULL)
        fail_msg("%s", e.msg);
}

static void what_does_not_open(void **state)
{
    (void)state;
    struct fixture f;
    struct buf empty;
    open_fixture(&f, key_path);
    expect(&f, &f.value, "www_password", RC_CRYPTO, "not for 'www_password'");
    expect(&f, &f.value, "db_password", RC_CRYPTO, "not for"); /* the answer stays */
    struct value torn = value_of(&f.text, f.text.len / 2);
    expect(&f, &torn, "db_password", RC_PARSE, "");
    seal(&empty, "db_password", "");
    struct value nothing = value_of(&empty, empty.len);
    expect(&f, &nothing, "db_password", RC_USAGE, "it is empty");
    buf_fini(&empty);
    close_fixture(&f);
}

static void no_key(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "/nonexistent/key");
    expect(&f, &f.value, "db_password", RC_SYS, "/nonexistent/key");
    struct value other = value_of(&f.text, f.text.len);
    expect(&f, &other, "db_password", RC_SYS, "/nonexistent/key");
    setenv("ANSIBLE_VAULT_PASSWORD_FILE", "x", 1);
    close_fixture(&f);
    open_fixture(&f, "/nonexistent/key");
    expect(&f, &f.value, "db_password", RC_SYS, "ANSIBLE_VAULT_PASSWORD_FILE is not read here");
    unsetenv("ANSIBLE_VAULT_PASSWORD_FILE");
    close_fixture(&f);
}

static void no_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct fixture f;
        uint32_t id;
        open_fixture(&f, key_path);
        mem_fail_after(n);
        enum rc rc = unseal_value(f.unseal, &f.value, "db_password", &id, NULL);
        bool fired = mem_fail_fired() != 0;
        mem_fail_after(-1);
        if (fired)
            assert_true(rc == RC_NOMEM);
        if (rc == RC_OK)
            assert_string_equal(secrets_text(f.secrets, id, NULL), "tr0ub4dor");
        close_fixture(&f);
        if (!fired)
            break;
    }
}

static enum rc take(void *taker, const char *plain, size_t len, struct err *e)
{
    (void)e;
    assert_int_equal(len, 5);
    assert_memory_equal(plain, "a: 1\n", len);
    ++*(int *)taker;
    return RC_OK;
}

/* A file that is sealed as a whole, and a text out of it. */
static void a_file(void **state)
{
    (void)state;
    struct buf file;
    bool fired = true;
    seal(&file, NULL, "a: 1\n");
    for (long n = 0; fired; n++) {
        struct fixture f;
        struct err e = {0};
        const char *kept = NULL;
        size_t len = 0;
        int taken = 0;
        open_fixture(&f, key_path);
        struct inventory_opener o = unseal_opener(f.unseal);
        mem_fail_after(n);
        enum rc rc = o.file(o.user, (const char *)file.data, file.len, take, &taken, &e);
        if (rc == RC_OK)
            rc = o.keep(o.user, "of the file", 11, &kept, &len, &e);
        fired = mem_fail_fired() != 0;
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (rc == RC_OK) {
            assert_int_equal(taken, 1);
            assert_ptr_equal(kept, secrets_text(f.secrets, 1, NULL));
            assert_int_equal(len, 11);
            /* The text of a value is no file. */
            assert_int_equal(
                o.file(o.user, (const char *)f.text.data, f.text.len, take, &taken, &e), RC_CRYPTO);
            assert_int_equal(taken, 1);
        }
        close_fixture(&f);
    }
    buf_fini(&file);
}

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(key_path); /* 0600 */
    int n = fd >= 0 ? (int)write(fd, "the key\n", 8) : -1;
    close(fd);
    return n == 8 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(key_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_once), cmocka_unit_test(what_does_not_open),
        cmocka_unit_test(no_key),     cmocka_unit_test(no_memory),
        cmocka_unit_test(a_file),
    };
    return cmocka_run_group_tests_name("unseal", tests, set_up, tear_down);
}
