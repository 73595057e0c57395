/* Around a vault: where sealed values stand in YAML, where keys come from, programs and files. */
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
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/vault/doc.h"
#include "controller/vault/edit.h"
#include "controller/vault/file.h"
#include "controller/vault/key_source.h"
#include "controller/vault/program.h"
#include "controller/vault/vault.h"

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

static const char *in_dir(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[0], "%s/%s", dir, name);
    return path[next];
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static const char yaml[] = "---\n"
                           "# a: !vault | in a comment\n"
                           "first: !vault |\n"
                           "  $MUSTER_VAULT;1\n"
                           "  AAAA\n"
                           "\n"
                           "plain: 1   # stays\n"
                           "nested:\n"
                           "  - \"second one\": !vault |-   # why not\n"
                           "          $ANSIBLE_VAULT;1.1;AES256  \n"
                           "          3030\n"
                           "    third: !vault-encrypted |2\r\n"
                           "      $MUSTER_VAULT;1\r\n"
                           "      BBBB";

static void test_parse(void **state)
{
    (void)state;
    struct doc d;
    assert_int_equal(doc_parse(&d, yaml, sizeof yaml - 1, NULL), RC_OK);
    assert_int_equal(d.count, 3);
    assert_int_equal(d.strange, 0);
    static const struct {
        const char *name, *text;
        size_t line, indent;
    } want[] = {
        {"first", "$MUSTER_VAULT;1\nAAAA\n", 3, 2},
        {"second one", "$ANSIBLE_VAULT;1.1;AES256\n3030\n", 9, 10},
        {"third", "$MUSTER_VAULT;1\nBBBB\n", 12, 6},
    };
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(d.spans[i].name, want[i].name);
        assert_string_equal(buf_cstr(&d.spans[i].text), want[i].text);
        assert_int_equal(d.spans[i].line, want[i].line);
        assert_int_equal(d.spans[i].indent, want[i].indent);
    }
    const struct doc_span *s;
    assert_int_equal(doc_find(&d, "third", &s, NULL), RC_OK);
    assert_ptr_equal(s, &d.spans[2]);
    assert_int_equal(doc_find(&d, "plain", &s, NULL), RC_NOTFOUND);
    doc_fini(&d);
}

/* What is not replaced stays, byte for byte. */
static void test_render(void **state)
{
    (void)state;
    struct doc d;
    struct buf fresh[3] = {0}, out;
    assert_int_equal(doc_parse(&d, yaml, sizeof yaml - 1, NULL), RC_OK);
    buf_init(&out, VAULT_MAX_TEXT);
    assert_int_equal(doc_render(&d, fresh, &out, NULL), RC_OK);
    assert_string_equal(buf_cstr(&out), yaml);
    buf_reset(&out);
    buf_init(&fresh[1], 100);
    buf_puts(&fresh[1], "NEW\nTEXT\n");
    assert_int_equal(doc_render(&d, fresh, &out, NULL), RC_OK);
    const char *text = buf_cstr(&out),
               *at = strstr(text, "          NEW\n          TEXT\n    third");
    assert_non_null(at);
    assert_memory_equal(text, yaml, (size_t)(at - text));
    assert_null(strstr(text, "3030"));
    struct doc again;
    assert_int_equal(doc_parse(&again, text, out.len, NULL), RC_OK);
    assert_int_equal(again.count, 3);
    assert_string_equal(buf_cstr(&again.spans[1].text), "NEW\nTEXT\n");
    doc_fini(&again);
    doc_fini(&d);
    buf_fini(&fresh[1]);
    buf_fini(&out);
}

static void test_odd_documents(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count, strange;
    } table[] = {
        {"", 0, 0},
        {"a: 1\n", 0, 0},
        {"a: !vault |", 1, 0},
        {"a: !vault |\nb: 2\n", 1, 0},
        {"a:\n  - !vault |\n    x\n", 0, 2},
        {"a: !vault \"x\"\n", 0, 1},
        {"a: {b: !vault x}\n", 0, 1},
        {"a: !vault >\n  x\n", 0, 1},
        {"a: 1 # !vault |\n", 0, 0},
        {"\"a\\\"b\": !vault |\n  x\n", 0, 1},
        {"$MUSTER_VAULT;9\nanything", 1, 0},
        {"$ANSIBLE_VAULT;", 1, 0},
        {" $MUSTER_VAULT;1\n", 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct doc d;
        assert_int_equal(doc_parse(&d, table[i].text, strlen(table[i].text), NULL), RC_OK);
        if (d.count != table[i].count || d.strange != table[i].strange)
            fail_msg("%s: %zu, line %zu", table[i].text, d.count, d.strange);
        doc_fini(&d);
    }
    struct doc d;
    struct err e = {0};
    const struct doc_span *s;
    const char twice[] = "a: !vault |\n  x\nb:\n  a: !vault |\n    y\n";
    assert_int_equal(doc_parse(&d, twice, sizeof twice - 1, NULL), RC_OK);
    assert_int_equal(doc_find(&d, "a", &s, &e), RC_AMBIGUOUS);
    assert_string_equal(e.msg, "'a' is sealed in line 1 and in line 4");
    doc_fini(&d);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "db_password", "A.b-9", "_x", "9"};
    static const char *const bad[] = {"", "a b", "-a", "a:", "a\n", "\xc3\xa4", "!a", "."};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(doc_check_name(good[i], NULL), RC_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(doc_check_name(bad[i], NULL), RC_USAGE);
}

static void test_no_memory(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct doc d;
        struct buf fresh[3] = {0}, out;
        buf_init(&out, VAULT_MAX_TEXT);
        mem_fail_after(n);
        enum rc rc = doc_parse(&d, yaml, sizeof yaml - 1, NULL);
        if (rc == RC_OK)
            rc = doc_render(&d, fresh, &out, NULL);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        doc_fini(&d);
        buf_fini(&out);
        assert_int_equal(mem_live(), live);
    }
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want; /* words with | between; NULL: refused */
    } table[] = {
        {"vi", "vi"},
        {"  vim  -u\tNONE ", "vim|-u|NONE"},
        {"code --wait 'a b' \"c 'd'\"", "code|--wait|a b|c 'd'"},
        {"a''b \"\" x", "ab||x"},
        {"sh -c $HOME;`id`>x", "sh|-c|$HOME;`id`>x"},
        {"", NULL},
        {"   ", NULL},
        {"vi 'x", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *words[PROGRAM_MAX_WORDS + 2], *store, joined[200] = "", last[] = "LAST";
        enum rc rc = program_split(table[i].line, last, words, &store, NULL);
        assert_int_equal(rc, table[i].want != NULL ? RC_OK : RC_USAGE);
        if (rc != RC_OK)
            continue;
        size_t n = 0;
        for (; words[n + 1] != NULL; n++)
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s",
                     n > 0 ? "|" : "", words[n]);
        assert_string_equal(words[n], "LAST");
        assert_string_equal(joined, table[i].want);
        mem_free(store);
    }
    char many[400] = "";
    for (int i = 0; i <= PROGRAM_MAX_WORDS; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "x ");
    char *words[PROGRAM_MAX_WORDS + 2], *store;
    assert_int_equal(program_split(many, NULL, words, &store, NULL), RC_USAGE);
}

static void is_key(struct key_source from, const char *want)
{
    struct secret *key;
    struct err e = {0};
    if (key_source_read(&from, &key, &e) != RC_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(key->len, strlen(want));
    assert_memory_equal(key->data, want, key->len);
    secret_free(key);
}

static void no_key(struct key_source from, enum rc want, const char *say)
{
    struct secret *key;
    struct err e = {0};
    assert_int_equal(key_source_read(&from, &key, &e), want);
    assert_null(key);
    if (strstr(e.msg, say) == NULL)
        fail_msg("'%s' lacks '%s'", e.msg, say);
}

static void test_key_sources(void **state)
{
    (void)state;
    char big[KEY_SOURCE_MAX + 2];
    int ends[2];
    memset(big, 'k', sizeof big);
    big[sizeof big - 1] = '\0';
    write_file("key", "from a file\n", 0600);
    write_file("open", "x", 0640);
    write_file("empty", "\n", 0600);
    write_file("big", big, 0600);
    write_file("muster-vault", "a credential\r\n", 0440);
    is_key((struct key_source){.file = in_dir("key"), .fd = -1, .what = "key"}, "from a file");
    no_key((struct key_source){.file = in_dir("open"), .fd = -1, .what = "key"}, RC_USAGE,
           "others may read this key (mode 640)");
    no_key((struct key_source){.file = in_dir("empty"), .fd = -1, .what = "key"}, RC_USAGE,
           "it is empty");
    no_key((struct key_source){.file = in_dir("big"), .fd = -1, .what = "key"}, RC_LIMIT,
           "longer than 4096 bytes");
    no_key((struct key_source){.file = in_dir("none"), .fd = -1, .what = "key"}, RC_SYS,
           "No such file");
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "piped\n", 6), 6);
    close(ends[1]);
    is_key((struct key_source){.fd = ends[0], .what = "key"}, "piped");
    no_key((struct key_source){.fd = ends[0], .what = "key"}, RC_SYS, "Bad file descriptor");
    is_key((struct key_source){.fd = -1, .command = "printf 'a\\nb\\n'", .what = "key"}, "a\nb");
    no_key((struct key_source){.fd = -1, .command = "false", .what = "key"}, RC_CONFIG,
           "'false' failed with exit code 1");
    no_key((struct key_source){.fd = -1, .command = "no-such-program", .what = "key"}, RC_SYS,
           "cannot start 'no-such-program'");
    no_key((struct key_source){.fd = -1, .command = "cat /dev/zero", .what = "key"}, RC_LIMIT,
           "longer than");
    no_key((struct key_source){.fd = 9, .command = "true", .what = "key"}, RC_USAGE, "one of them");
    is_key((struct key_source){.fd = -1, .credentials = dir, .what = "key"}, "a credential");
}

static struct stat stat_of(const char *name)
{
    struct stat st;
    assert_int_equal(lstat(in_dir(name), &st), 0);
    return st;
}

static void test_replace(void **state)
{
    (void)state;
    struct secret *s;
    struct err e = {0};
    write_file("target", "old", 0644);
    assert_int_equal(symlink("target", in_dir("link")), 0);
    assert_int_equal(file_replace(in_dir("link"), "new", 3, &e), RC_OK);
    assert_true(S_ISLNK(stat_of("link").st_mode));
    assert_int_equal(stat_of("target").st_mode & 07777, 0600);
    assert_int_equal(file_read(in_dir("target"), 100, &s, NULL), RC_OK);
    assert_int_equal(s->len, 3);
    assert_memory_equal(s->data, "new", 3);
    secret_free(s);
    assert_int_equal(file_read(in_dir("target"), 2, &s, NULL), RC_LIMIT);
    assert_int_equal(file_read(dir, 100, &s, NULL), RC_CONFIG);
    assert_int_equal(file_replace(in_dir("no/such"), "x", 1, &e), RC_SYS);
    assert_int_equal(mkdir(in_dir("folder"), 0700), 0);
    assert_int_equal(file_replace(in_dir("folder"), "x", 1, &e), RC_SYS); /* rename refuses */
    char command[200];
    snprintf(command, sizeof command, "ls %s | grep -q 'folder\\.'", dir);
    assert_int_not_equal(system(command), 0); /* nothing is left behind */
}

static void test_edit(void **state)
{
    (void)state;
    struct secret *before, *after;
    struct err e = {0};
    char editor[300];
    write_file("editor",
               "#!/bin/sh\nstat -c '%a %a' \"$1\" > $(dirname \"$0\")/mode\n"
               "cp \"$1\" \"$1~\"\necho more >> \"$1\"\necho \"$1\" > $(dirname \"$0\")/path\n",
               0700);
    assert_int_equal(secret_copy(&before, "text\n", 5, NULL), RC_OK);
    snprintf(editor, sizeof editor, "%s", in_dir("editor"));
    assert_int_equal(edit_text(editor, dir, "f.yml", before, 100, &after, &e), RC_OK);
    assert_int_equal(after->len, 10);
    assert_memory_equal(after->data, "text\nmore\n", 10);
    secret_free(after);
    assert_int_equal(file_read(in_dir("mode"), 100, &after, NULL), RC_OK);
    assert_memory_equal(after->data, "600", 3);
    secret_free(after);
    assert_int_equal(file_read(in_dir("path"), 200, &after, NULL), RC_OK);
    secret_chomp(after);
    char path[200];
    snprintf(path, sizeof path, "%.*s", (int)after->len, (char *)after->data);
    secret_free(after);
    assert_true(str_ends(path, "/f.yml"));
    assert_int_not_equal(access(path, F_OK), 0);
    *strrchr(path, '/') = '\0';
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(edit_text("false", dir, "f", before, 100, &after, &e), RC_CONFIG);
    assert_non_null(strstr(e.msg, "nothing was changed"));
    assert_int_equal(edit_text("rm", dir, "f", before, 100, &after, &e), RC_SYS);
    assert_int_equal(edit_text(editor, dir, "f", before, 6, &after, &e), RC_LIMIT);
    assert_int_equal(edit_text("no-such-editor", dir, "f", before, 6, &after, &e), RC_SYS);
    char command[200];
    snprintf(command, sizeof command, "ls %s | grep -q muster-edit", dir);
    assert_int_not_equal(system(command), 0);
    secret_free(before);
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/test_vault_doc.XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parse),       TEST(test_render),    TEST(test_odd_documents),
        TEST(test_names),       TEST(test_no_memory), TEST(test_split),
        TEST(test_key_sources), TEST(test_replace),   TEST(test_edit),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
