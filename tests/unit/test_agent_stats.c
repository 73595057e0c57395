/* agent/stats: when samples are taken, how many, and what becomes of one that cannot go. The
 * figures are a stand-in's; the real ones have tests of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/core/core.h"
#include "agent/serve.h"
#include "common/mem.h"

/* ---- figures ---- */

static struct {
    struct core_request r;
    size_t samples;
    size_t size; /* of a sample */
    enum rc rc;
} core;

int core_section_find(const char *name, size_t len)
{
    static const char *const names[] = {"cpu", "memory", "disk"};
    for (int i = 0; i < 3; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return i;
    return -1;
}

const char *core_section_name(unsigned number)
{
    static const char *const names[] = {"cpu", "memory", "disk"};
    return number < 3 ? names[number] : NULL;
}

enum rc core_sample(struct core *c, const struct core_request *r, uint64_t seq, uint64_t skipped,
                    struct buf *out)
{
    static const char filler[8192];
    struct wire_out w;
    assert_ptr_equal(c, (struct core *)&core);
    core.r = *r;
    core.samples++;
    if (core.rc != RC_OK)
        return core.rc;
    wire_out_init(&w, out);
    wire_put_map(&w, 3);
    wire_put_u64(&w, "seq", seq);
    wire_put_u64(&w, "skipped", skipped);
    wire_put_bin(&w, "filler", filler, core.size);
    return wire_out_end(&w);
}

/* ---- a controller ---- */

static const struct op_kind *const kinds[] = {&op_stats, NULL};

struct rig {
    struct serve *s;
    struct buf out;
    size_t at;
    uint64_t now;
};

static void tell(struct rig *r, uint8_t type, uint64_t id, const void *p, size_t n)
{
    struct buf b;
    buf_init(&b, FRAME_HEADER + FRAME_MAX);
    assert_int_equal(frame_append(&b, type, id, p, n), RC_OK);
    serve_feed(r->s, b.data, b.len, r->now);
    buf_fini(&b);
    serve_turn(r->s, NULL, r->now);
}

static bool next(struct rig *r, struct frame *f)
{
    const void *p;
    size_t had;
    while ((had = serve_output(r->s, &p)) > 0) {
        assert_int_equal(buf_append(&r->out, p, had), RC_OK);
        serve_wrote(r->s, had);
    }
    long n = frame_parse(r->out.data + r->at, r->out.len - r->at, f);
    assert_true(n >= 0);
    r->at += (size_t)n;
    return n > 0;
}

static void open_rig(struct rig *r)
{
    struct frame f;
    struct serve_config c = {.allow = ALLOW_ALL,
                             .kinds = kinds,
                             .core = (struct core *)&core,
                             .version = "",
                             .digest = "",
                             .arch = "",
                             .boot_id = ""};
    *r = (struct rig){.now = 50000, .at = AGENT_PREAMBLE_LEN};
    memset(&core, 0, sizeof core);
    buf_init(&r->out, 1 << 20);
    assert_int_equal(serve_new(&r->s, &c, r->now), RC_OK);
    (void)next(r, &f);
    tell(r, AGENT_WELCOME, 0, "\x81\xa7version\x01", 10);
}

static void fini(struct rig *r)
{
    serve_free(r->s);
    buf_fini(&r->out);
}

static void open_request(struct buf *b, struct wire_out *w, size_t members, const char *section)
{
    buf_init(b, 4096);
    wire_out_init(w, b);
    wire_put_map(w, 2 + members);
    wire_put_str(w, "op", "stats");
    wire_add_key(w, "sections");
    wire_add_array(w, section != NULL);
    if (section != NULL)
        wire_add_str(w, section);
}

static void ask(struct rig *r, uint64_t interval_ms, uint64_t count, uint64_t window)
{
    struct buf b;
    struct wire_out w;
    open_request(&b, &w, 3, "cpu");
    wire_put_u64(&w, "interval_ms", interval_ms);
    wire_put_u64(&w, "count", count);
    wire_put_u64(&w, "window", window);
    tell(r, AGENT_REQUEST, 1, b.data, b.len);
    buf_fini(&b);
}

static void expect_reply(struct rig *r, uint64_t seq, uint64_t skipped)
{
    struct frame f;
    struct wire_map m;
    uint64_t n;
    assert_true(next(r, &f));
    assert_int_equal(f.type, AGENT_REPLY);
    assert_int_equal(wire_open(&m, f.payload, f.length, NULL), RC_OK);
    assert_int_equal(wire_u64(&m, "seq", UINT64_MAX, &n), RC_OK);
    assert_int_equal(n, seq);
    assert_int_equal(wire_u64(&m, "skipped", UINT64_MAX, &n), RC_OK);
    assert_int_equal(n, skipped);
    wire_close(&m);
}

static void expect_end(struct rig *r, const char *status)
{
    struct frame f;
    struct wire_map m;
    char text[16];
    assert_true(next(r, &f));
    assert_int_equal(f.type, AGENT_END);
    assert_int_equal(wire_open(&m, f.payload, f.length, NULL), RC_OK);
    assert_int_equal(wire_str_to(&m, "status", text, sizeof text), RC_OK);
    assert_string_equal(text, status);
    wire_close(&m);
}

static void quiet(struct rig *r)
{
    struct frame f;
    assert_false(next(r, &f));
}

static void at(struct rig *r, uint64_t ms)
{
    r->now = 50000 + ms;
    serve_turn(r->s, NULL, r->now);
}

static void grant(struct rig *r, uint16_t n)
{
    const uint8_t p[4] = {0, 0, (uint8_t)(n >> 8), (uint8_t)n};
    tell(r, AGENT_CREDIT, 1, p, sizeof p);
}

/* ---- tests ---- */

static void one_sample(void **state)
{
    (void)state;
    struct rig r;
    struct buf b;
    struct wire_out w;
    open_rig(&r);
    buf_init(&b, 4096);
    wire_out_init(&w, &b);
    wire_put_map(&w, 6);
    wire_put_str(&w, "op", "stats");
    wire_add_key(&w, "sections");
    wire_add_array(&w, 3);
    wire_add_str(&w, "disk");
    wire_add_str(&w, "of a later version");
    wire_add_str(&w, "cpu");
    wire_put_u64(&w, "top", 7);
    wire_put_str(&w, "by", "io");
    wire_put_bool(&w, "detail", true);
    wire_put_u64(&w, "timeout_ms", 300);
    tell(&r, AGENT_REQUEST, 1, b.data, b.len);
    buf_fini(&b);
    expect_reply(&r, 0, 0);
    expect_end(&r, "ok");
    quiet(&r);
    assert_true(core.r.sections == (1 | 4));
    assert_int_equal(core.r.top, 7);
    assert_int_equal(core.r.by, CORE_BY_IO);
    assert_true(core.r.detail);
    assert_int_equal(core.r.section_ms, 300);
    assert_null(core.r.past); /* there is nothing to compare it with */
    fini(&r);
}

static void those_that_lead_by_use_are_compared(void **state)
{
    (void)state;
    static const char *const by[] = {"rss", "cpu", "io"};
    for (size_t i = 0; i < 3; i++) {
        struct rig r;
        struct buf b;
        struct wire_out w;
        open_rig(&r);
        open_request(&b, &w, 3, "cpu");
        wire_put_u64(&w, "interval_ms", 1000);
        wire_put_u64(&w, "top", 7);
        wire_put_str(&w, "by", by[i]);
        tell(&r, AGENT_REQUEST, 1, b.data, b.len);
        buf_fini(&b);
        expect_reply(&r, 0, 0);
        assert_int_equal(core.r.past != NULL, i > 0);
        fini(&r);
    }
}

static void defaults_are_the_pages(void **state)
{
    (void)state;
    struct rig r;
    struct buf b;
    struct wire_out w;
    open_rig(&r);
    open_request(&b, &w, 0, "memory");
    tell(&r, AGENT_REQUEST, 1, b.data, b.len);
    buf_fini(&b);
    expect_reply(&r, 0, 0);
    expect_end(&r, "ok");
    assert_true(core.r.sections == 2);
    assert_int_equal(core.r.top, 0);
    assert_int_equal(core.r.by, CORE_BY_RSS);
    assert_false(core.r.detail);
    assert_int_equal(core.r.section_ms, AGENT_SECTION_MS);
    fini(&r);
}

static void many_in_step_with_the_first(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    ask(&r, 1000, 3, 1 << 20);
    expect_reply(&r, 0, 0);
    quiet(&r);
    assert_int_equal(serve_wake_at(r.s), 51000);
    at(&r, 999);
    quiet(&r);
    at(&r, 1300); /* late: the next one is not */
    expect_reply(&r, 1, 0);
    assert_int_equal(serve_wake_at(r.s), 52000);
    at(&r, 2000);
    expect_reply(&r, 2, 0);
    expect_end(&r, "ok");
    assert_int_equal(core.samples, 3);
    fini(&r);
}

static void times_that_went_by_are_counted(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    ask(&r, 1000, 0, 1 << 20);
    expect_reply(&r, 0, 0);
    at(&r, 5500); /* was due at 1, 2, 3, 4 and 5 s */
    expect_reply(&r, 1, 0);
    quiet(&r);
    assert_int_equal(serve_wake_at(r.s), 56000);
    at(&r, 6000);
    expect_reply(&r, 2, 4);
    at(&r, 7000);
    expect_reply(&r, 3, 0);
    fini(&r);
}

static void without_credit_it_is_left_out(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    core.size = 100;
    ask(&r, 1000, 0, 150);
    expect_reply(&r, 0, 0);
    at(&r, 1000);
    at(&r, 2000);
    quiet(&r);
    grant(&r, 1000);
    quiet(&r); /* not before it is due */
    at(&r, 3000);
    expect_reply(&r, 1, 2);
    fini(&r);
}

static void the_only_one_waits_for_its_credit(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    core.size = 1000;
    ask(&r, 0, 1, 10);
    quiet(&r);
    assert_true(serve_wake_at(r.s) == UINT64_MAX);
    grant(&r, 10);
    at(&r, 100000);
    quiet(&r);
    grant(&r, 2000);
    expect_reply(&r, 0, 0);
    expect_end(&r, "ok");
    assert_int_equal(core.samples, 1);
    fini(&r);
}

static void cancel_and_hangup_end_it(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    ask(&r, 1000, 0, 1 << 20);
    expect_reply(&r, 0, 0);
    tell(&r, AGENT_CANCEL, 1, "\x81\xa8grace_ms\x05", 11);
    expect_end(&r, "cancelled");
    core.size = 1000;
    ask(&r, 0, 1, 10); /* waits for credit */
    serve_eof(r.s, r.now);
    assert_true(serve_finished(r.s));
    fini(&r);
}

static void requests_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t value;
    } bad[] = {{"interval_ms", 199},
               {"interval_ms", AGENT_INTERVAL_MAX_MS + 1},
               {"count", UINT64_C(1) << 32},
               {"top", AGENT_TOP_MAX + 1},
               {"timeout_ms", 0},
               {"timeout_ms", 60001},
               {"by", 1},
               {"detail", 1}};
    struct buf b;
    struct wire_out w;
    struct rig r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        open_rig(&r);
        open_request(&b, &w, 1, "cpu");
        wire_put_u64(&w, bad[i].key, bad[i].value);
        tell(&r, AGENT_REQUEST, 1, b.data, b.len);
        buf_fini(&b);
        expect_end(&r, "refused");
        fini(&r);
    }
    static const char *const sections[] = {NULL, "weather"};
    for (size_t i = 0; i < 2; i++) {
        open_rig(&r);
        open_request(&b, &w, 0, sections[i]);
        tell(&r, AGENT_REQUEST, 1, b.data, b.len);
        buf_fini(&b);
        expect_end(&r, "refused");
        fini(&r);
    }
    open_rig(&r);
    open_request(&b, &w, 1, "cpu");
    wire_put_str(&w, "by", "name");
    tell(&r, AGENT_REQUEST, 1, b.data, b.len);
    buf_fini(&b);
    expect_end(&r, "refused");
    tell(&r, AGENT_REQUEST, 1, "\x81\xa2op\xa5stats", 10);
    expect_end(&r, "refused");
    assert_int_equal(core.samples, 0);
    fini(&r);
}

static void a_sample_that_fails(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    core.rc = RC_NOMEM;
    ask(&r, 0, 1, 1000);
    expect_end(&r, "failed");
    ask(&r, 1000, 2, 1000);
    quiet(&r); /* one of many is left out */
    core.rc = RC_OK;
    at(&r, 1000);
    expect_reply(&r, 0, 1);
    core.rc = RC_LIMIT;
    at(&r, 2000);
    expect_end(&r, "failed");
    fini(&r);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct rig r;
    for (long after = 0;; after++) {
        size_t live = mem_live();
        struct frame f;
        open_rig(&r);
        core.size = 500;
        struct buf b;
        struct wire_out w;
        open_request(&b, &w, 0, "cpu");
        struct buf whole;
        buf_init(&whole, 4096);
        assert_int_equal(frame_append(&whole, AGENT_REQUEST, 1, b.data, b.len), RC_OK);
        buf_fini(&b);
        mem_fail_after(after);
        serve_feed(r.s, whole.data, whole.len, r.now);
        serve_turn(r.s, NULL, r.now);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        serve_turn(r.s, NULL, r.now + 200); /* what waits for memory goes now */
        while (next(&r, &f))
            ;
        /* Answered, or the link ends: never silence. */
        assert_true(f.type == AGENT_END || serve_result(r.s) == RC_NOMEM);
        buf_fini(&whole);
        fini(&r);
        assert_int_equal(mem_live(), live);
        if (!fired)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_sample),
        cmocka_unit_test(those_that_lead_by_use_are_compared),
        cmocka_unit_test(defaults_are_the_pages),
        cmocka_unit_test(many_in_step_with_the_first),
        cmocka_unit_test(times_that_went_by_are_counted),
        cmocka_unit_test(without_credit_it_is_left_out),
        cmocka_unit_test(the_only_one_waits_for_its_credit),
        cmocka_unit_test(cancel_and_hangup_end_it),
        cmocka_unit_test(requests_that_are_refused),
        cmocka_unit_test(a_sample_that_fails),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
