/* controller/secrets/mask: secrets in streams, wherever they are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/buf.h"
#include "common/mem.h"
#include "controller/secrets/mask.h"

static const char *const known[] = {"hunter22", "hunter22-and-more", "abab",        "bar",
                                    "unicorn",  "icorabcd",          "p\xc3\xa4ss", NULL};

static struct secrets *make(const char *const *texts)
{
    struct secrets *s;
    uint32_t id;
    assert_int_equal(secrets_new(&s, NULL), RC_OK);
    for (; *texts != NULL; texts++)
        assert_int_equal(secrets_add(s, *texts, strlen(*texts), &id, NULL), RC_OK);
    return s;
}

static void collect(void *user, const void *p, size_t n)
{
    assert_int_equal(buf_append(user, p, n), RC_OK);
}

static const struct {
    const char *in, *out;
} cases[] = {
    {"", ""},
    {"nothing here", "nothing here"},
    {"hunter22", "********"},
    {"x hunter22 y hunter22.", "x ******** y ********."},
    {"hunter22-and-more", "********"}, /* the longer one */
    {"hunter22-and-mor", "********-and-mor"},
    {"hunter2", "hunter2"},
    {"ababab", "********ab"},
    {"aabab", "a********"},
    {"abaabab", "aba********"},
    {"bar barn", "bar barn"},     /* too short to be looked for */
    {"unicorabcd", "un********"}, /* one inside what began like another */
    {"p\xc3\xa4ss!", "********!"},
    {"hunter22hunter22", "****************"},
};

/* Each case, in two parts cut anywhere, and byte by byte. */
static void every_cut(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct secrets *s = make(known);
    struct masks *m;
    assert_int_equal(masks_new(&m, s, NULL), RC_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *in = cases[i].in;
        size_t n = strlen(in);
        for (size_t cut = 0; cut <= n + 1; cut++) {
            struct mask_stream st = {0};
            struct buf out;
            buf_init(&out, 4096);
            if (cut <= n) {
                masks_feed(m, &st, in, cut, collect, &out);
                masks_feed(m, &st, in + cut, n - cut, collect, &out);
            } else {
                for (size_t k = 0; k < n; k++)
                    masks_feed(m, &st, in + k, 1, collect, &out);
            }
            masks_end(m, &st, collect, &out);
            if (strcmp(buf_cstr(&out), cases[i].out) != 0)
                fail_msg("\"%s\" cut at %zu: \"%s\"", in, cut, buf_cstr(&out));
            buf_fini(&out);
        }
        char text[64];
        snprintf(text, sizeof text, "%s", in);
        assert_string_equal(masks_text(m, text, sizeof text), cases[i].out);
    }
    masks_free(m);
    secrets_free(s);
    assert_int_equal(mem_live(), live);
}

static void texts_of_ours(void **state)
{
    (void)state;
    struct secrets *s = make(known);
    struct masks *m;
    char text[12] = "abab abab";
    assert_int_equal(masks_new(&m, s, NULL), RC_OK);
    assert_string_equal(masks_text(m, text, sizeof text), "******** **"); /* cut, never past it */
    assert_string_equal(masks_text(NULL, text, sizeof text), "******** **");
    masks_free(m);
    secrets_free(s);
}

static void nothing_to_look_for(void **state)
{
    (void)state;
    static const char *const none[] = {NULL}, *const brief[] = {"abc", NULL};
    struct secrets *s = make(none), *t = make(brief);
    struct masks *m = (struct masks *)s;
    assert_int_equal(masks_new(&m, s, NULL), RC_OK);
    assert_null(m);
    assert_int_equal(masks_new(&m, t, NULL), RC_OK);
    assert_null(m);
    assert_int_equal(masks_new(&m, NULL, NULL), RC_OK);
    assert_null(m);
    masks_free(NULL);
    secrets_free(s);
    secrets_free(t);
}

static void many(void **state)
{
    (void)state;
    struct secrets *s;
    struct masks *m;
    struct mask_stream st = {0};
    struct buf in, out, want;
    uint32_t id;
    char text[64];
    buf_init(&in, 1 << 20);
    buf_init(&out, 1 << 20);
    buf_init(&want, 1 << 20);
    assert_int_equal(secrets_new(&s, NULL), RC_OK);
    for (int i = 0; i < 2000; i++) {
        int n = snprintf(text, sizeof text, "secret-%d-%d", i, i * 7919);
        assert_int_equal(secrets_add(s, text, (size_t)n, &id, NULL), RC_OK);
        buf_printf(&in, "line %d: %s\n", i, text);
        buf_printf(&want, "line %d: %s\n", i, MASK_TEXT);
    }
    assert_int_equal(masks_new(&m, s, NULL), RC_OK);
    for (size_t at = 0; at < in.len; at += 13)
        masks_feed(m, &st, in.data + at, in.len - at < 13 ? in.len - at : 13, collect, &out);
    masks_end(m, &st, collect, &out);
    /* Where one number is the beginning of another's, the longer is taken; digits never stay. */
    assert_string_equal(buf_cstr(&out), buf_cstr(&want));
    masks_free(m);
    secrets_free(s);
    buf_fini(&in);
    buf_fini(&out);
    buf_fini(&want);
}

/* Without memory nothing is shown that would have been masked. */
static void no_memory(void **state)
{
    (void)state;
    struct secrets *s = make(known);
    struct masks *m = NULL;
    size_t live = mem_live();
    for (long n = 0; m == NULL; n++) {
        mem_fail_after(n);
        enum rc rc = masks_new(&m, s, NULL);
        mem_fail_after(-1);
        assert_true(rc == (m != NULL ? RC_OK : RC_NOMEM));
    }
    live = mem_live();
    for (long n = 0;; n++) {
        struct mask_stream st = {0};
        struct buf out;
        uint8_t space[256];
        buf_init(&out, 4096);
        assert_int_equal(buf_append(&out, space, 0), RC_OK);
        assert_int_equal(buf_reserve(&out, 2048), RC_OK);
        mem_fail_after(n);
        masks_feed(m, &st, "x hunt", 6, collect, &out);
        masks_feed(m, &st, "er22 y", 6, collect, &out);
        masks_end(m, &st, collect, &out);
        bool fired = mem_fail_fired() != 0;
        mem_fail_after(-1);
        assert_null(strstr(buf_cstr(&out), "hunter22"));
        if (!fired)
            assert_string_equal(buf_cstr(&out), "x ******** y");
        buf_fini(&out);
        if (!fired)
            break;
    }
    masks_free(m);
    secrets_free(s);
    (void)live;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut),           cmocka_unit_test(texts_of_ours),
        cmocka_unit_test(nothing_to_look_for), cmocka_unit_test(many),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
