/* known_hosts rewritten: many keys added at once, keys replaced and taken out, lines with an end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/hostkeys/hostkeys.h"

static char dir[64], path[96];

/* A made-up Ed25519 key, told apart by one byte. */
struct key {
    uint8_t blob[51];
    char text[80];
};

static struct key make_key(uint8_t seed)
{
    struct key k = {.text = ""};
    struct buf b;
    memcpy(k.blob, "\0\0\0\x0bssh-ed25519\0\0\0\x20", 19);
    memset(k.blob + 19, seed, 32);
    buf_init(&b, 1024);
    assert_int_equal(str_base64(&b, k.blob, sizeof k.blob), RC_OK);
    snprintf(k.text, sizeof k.text, "%s", buf_cstr(&b));
    buf_fini(&b);
    return k;
}

static void put_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char *get_file(void)
{
    static char text[8192];
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    if (f != NULL)
        fclose(f);
    return text;
}

static struct hostkeys *load(int64_t now)
{
    struct hostkeys *hk = NULL;
    struct err e = {0};
    assert_int_equal(hostkeys_new(&hk, &e), RC_OK);
    if (now != 0)
        hostkeys_set_now(hk, now);
    enum rc rc = hostkeys_load(hk, path, &e);
    assert_true(rc == RC_OK || rc == RC_NOTFOUND);
    return hk;
}

static enum hostkeys_verdict ask(const struct hostkeys *hk, const char *host, const struct key *k)
{
    struct hostkeys_answer a;
    hostkeys_check(hk, host, 22, "ssh-ed25519", k->blob, sizeof k->blob, &a);
    return a.verdict;
}

static struct hostkeys_entry entry(const char *host, const struct key *k)
{
    return (struct hostkeys_entry){
        .host = host, .port = 22, .key_type = "ssh-ed25519", .blob = k->blob, .blob_len = 51};
}

static struct hostkeys_edit edit(const char *host, const struct key *k)
{
    return (struct hostkeys_edit){.host = host,
                                  .port = 22,
                                  .key_type = k != NULL ? "ssh-ed25519" : NULL,
                                  .blob = k != NULL ? k->blob : NULL,
                                  .blob_len = k != NULL ? 51 : 0};
}

static void adds_many(void **state)
{
    (void)state;
    char text[1024];
    struct err e = {0};
    struct key a = make_key(1), b = make_key(2);
    snprintf(text, sizeof text, "old ssh-ed25519 %s", a.text); /* no newline at its end */
    put_file(text);
    struct hostkeys *hk = load(0);
    struct hostkeys_entry n[] = {entry("new", &a),  entry("old", &a), entry("old", &b),
                                 entry("a b", &b),  entry("new", &a), entry("until", &b),
                                 entry("other", &b)};
    n[5].until = 1798761599;
    n[6].key_type = "ssh-rsa"; /* which it is not */
    assert_int_equal(hostkeys_add_many(hk, path, n, 7, HOSTKEYS_AS_FILE, &e), RC_OK);
    static const enum rc results[] = {RC_OK, RC_OK, RC_EXISTS, RC_CONFIG, RC_OK, RC_OK, RC_CONFIG};
    static const bool added[] = {true, false, false, false, false, true, false};
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(n[i].result, results[i]);
        assert_int_equal(n[i].added, added[i]);
    }
    char want[1024];
    snprintf(want, sizeof want,
             "%s\nnew ssh-ed25519 %s\nuntil ssh-ed25519 %s muster:until=2026-12-31T23:59:59Z\n",
             text, a.text, b.text);
    assert_string_equal(get_file(), want);
    assert_int_equal(ask(hk, "new", &a), HOSTKEYS_MATCH);
    hostkeys_free(hk);
}

static void a_line_ends(void **state)
{
    (void)state;
    char text[2048];
    struct key a = make_key(1), b = make_key(2);
    struct hostkeys_answer answer;
    snprintf(text, sizeof text,
             "web ssh-ed25519 %s muster:until=2026-12-31T23:59:59Z\n"
             "odd ssh-ed25519 %s some words muster:until=tomorrow\n"
             "plain ssh-ed25519 %s until=2001-01-01T00:00:00Z\n"
             "two ssh-ed25519 %s muster:until=2026-12-31T23:59:59Z\ntwo ssh-ed25519 %s\n",
             a.text, a.text, a.text, a.text, b.text);
    put_file(text);
    struct hostkeys *hk = load(1798761598); /* a second before */
    hostkeys_check(hk, "web", 22, "ssh-ed25519", a.blob, 51, &answer);
    assert_int_equal(answer.verdict, HOSTKEYS_MATCH);
    assert_true(answer.until == 1798761599);
    assert_int_equal(ask(hk, "odd", &a), HOSTKEYS_EXPIRED);
    assert_int_equal(ask(hk, "plain", &a), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "two", &a), HOSTKEYS_MATCH);
    hostkeys_free(hk);
    hk = load(1798761599);
    hostkeys_check(hk, "web", 22, "ssh-ed25519", a.blob, 51, &answer);
    assert_int_equal(answer.verdict, HOSTKEYS_EXPIRED);
    assert_non_null(strstr(answer.where, "known:1"));
    assert_int_equal(ask(hk, "web", &b), HOSTKEYS_EXPIRED);
    assert_int_equal(ask(hk, "two", &a), HOSTKEYS_CHANGED); /* the line that stays counts */
    assert_int_equal(ask(hk, "two", &b), HOSTKEYS_MATCH);
    hostkeys_free(hk);
}

static void takes_out(void **state)
{
    (void)state;
    char text[2048], want[2048];
    struct err e = {0};
    struct key a = make_key(1), b = make_key(2);
    snprintf(text, sizeof text,
             "# a comment\n\nWeb1,web2 ssh-ed25519 %s by hand\n@revoked web1 ssh-ed25519 %s\n"
             "*.x,web1 ssh-ed25519 %s\nweb1 ssh-ed25519 %s\nlast ssh-ed25519 %s\n",
             a.text, b.text, a.text, b.text, a.text);
    snprintf(want, sizeof want,
             "# a comment\n\nweb2 ssh-ed25519 %s by hand\n@revoked web1 ssh-ed25519 %s\n"
             "*.x,web1 ssh-ed25519 %s\nlast ssh-ed25519 %s\n",
             a.text, b.text, a.text, a.text);
    put_file(text);
    assert_int_equal(chmod(path, 0640), 0);
    struct hostkeys_edit x[] = {edit("WEB1", NULL), edit("nobody", NULL)};
    assert_int_equal(hostkeys_edit(path, x, 2, true, &e), RC_OK);
    assert_int_equal(x[0].removed, 2);
    assert_int_equal(x[1].removed, 0);
    assert_string_equal(get_file(), text);
    assert_int_equal(hostkeys_edit(path, x, 2, false, &e), RC_OK);
    assert_string_equal(get_file(), want);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    ino_t before = st.st_ino;
    assert_int_equal(hostkeys_edit(path, x, 2, false, &e), RC_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_ino == before); /* nothing to do: not touched */
    unlink(path);
    assert_int_equal(hostkeys_edit(path, x, 2, false, &e), RC_OK);
    assert_int_equal(access(path, F_OK), -1);
}

static void replaces(void **state)
{
    (void)state;
    char text[2048], want[2048], link[128];
    struct err e = {0};
    struct key a = make_key(1), b = make_key(2), c = make_key(3);
    struct hostkeys *hk;
    snprintf(text, sizeof text,
             "first ssh-ed25519 %s\nweb,other ssh-ed25519 %s\nlast ssh-ed25519 %s", a.text, a.text,
             b.text);
    snprintf(want, sizeof want,
             "first ssh-ed25519 %s\nother ssh-ed25519 %s\nweb ssh-ed25519 %s\nlast ssh-ed25519 "
             "%s\nnew ssh-ed25519 %s\n",
             a.text, a.text, c.text, b.text, c.text);
    put_file(text);
    snprintf(link, sizeof link, "%s/link", dir);
    unlink(link);
    assert_int_equal(symlink(path, link), 0);
    struct hostkeys_edit x[] = {edit("web", &c), edit("new", &c)};
    assert_int_equal(hostkeys_edit(link, x, 2, false, &e), RC_OK);
    assert_string_equal(get_file(), want);
    struct stat st;
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));

    /* A hashed name stays hashed. */
    unlink(path);
    hk = load(0);
    struct hostkeys_entry n[] = {entry("h1", &a), entry("h2", &a)};
    assert_int_equal(hostkeys_add_many(hk, path, n, 2, HOSTKEYS_HASHED, &e), RC_OK);
    hostkeys_free(hk);
    struct hostkeys_edit y[] = {edit("h2", &c)};
    assert_int_equal(hostkeys_edit(path, y, 1, false, &e), RC_OK);
    assert_int_equal(y[0].removed, 1);
    assert_null(strstr(get_file(), "h2 "));
    hk = load(0);
    assert_int_equal(hostkeys_count(hk), 2);
    assert_int_equal(ask(hk, "h1", &a), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "h2", &c), HOSTKEYS_MATCH);
    assert_int_equal(ask(hk, "h2", &a), HOSTKEYS_CHANGED);
    /* and so does the file's way */
    struct hostkeys_entry m = entry("h3", &a);
    assert_int_equal(hostkeys_add_many(hk, path, &m, 1, HOSTKEYS_AS_FILE, &e), RC_OK);
    assert_null(strstr(get_file(), "h3"));
    hostkeys_free(hk);
    struct hostkeys_edit bad = edit("a b", &c);
    assert_int_equal(hostkeys_edit(path, &bad, 1, false, &e), RC_CONFIG);
}

static void authorities(void **state)
{
    (void)state;
    char text[1024], where[512];
    struct key a = make_key(1), b = make_key(2);
    snprintf(text, sizeof text, "@cert-authority *.x,!no.x ssh-ed25519 %s\nweb.x ssh-ed25519 %s\n",
             a.text, b.text);
    put_file(text);
    struct hostkeys *hk = load(0);
    assert_true(hostkeys_ca(hk, "web.x", 2222, NULL, 0, where));
    assert_non_null(strstr(where, "known:1"));
    assert_true(hostkeys_ca(hk, "WEB.x", 22, a.blob, 51, where));
    assert_false(hostkeys_ca(hk, "web.x", 22, b.blob, 51, where));
    assert_false(hostkeys_ca(hk, "no.x", 22, a.blob, 51, where));
    assert_false(hostkeys_ca(hk, "web.y", 22, NULL, 0, where));
    hostkeys_free(hk);
}

static void no_memory(void **state)
{
    (void)state;
    char text[1024];
    struct key a = make_key(1), b = make_key(2);
    snprintf(text, sizeof text, "web1,web2 ssh-ed25519 %s\n", a.text);
    size_t live = mem_live();
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct err e = {0};
        struct hostkeys *hk = NULL;
        put_file(text);
        struct hostkeys_edit x[] = {edit("web1", &b), edit("new", &b)};
        struct hostkeys_entry y[] = {entry("other", &a), entry("other", &a)};
        mem_fail_after(n);
        enum rc rc = hostkeys_edit(path, x, 2, false, &e);
        bool edited = rc == RC_OK;
        if (rc == RC_OK)
            rc = hostkeys_new(&hk, &e);
        if (rc == RC_OK)
            rc = hostkeys_load(hk, path, &e);
        if (rc == RC_OK)
            rc = hostkeys_add_many(hk, path, y, 2, HOSTKEYS_PLAIN, &e);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_true(rc == RC_OK || (rc == RC_NOMEM && e.rc == RC_NOMEM));
        if (!edited)
            assert_string_equal(get_file(), text);
        hostkeys_free(hk);
        assert_int_equal(mem_live(), live);
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/muster-edit-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/known", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char link[128];
    snprintf(link, sizeof link, "%s/link", dir);
    unlink(link);
    unlink(path);
    return rmdir(dir); /* and nothing else was left in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_many), cmocka_unit_test(a_line_ends), cmocka_unit_test(takes_out),
        cmocka_unit_test(replaces),  cmocka_unit_test(authorities), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests_name("hostkeys_edit", tests, setup, teardown);
}
