/* controller/run/proof: how many hosts may have a password before it has been right once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/proof.h"

static enum proof_answer enter(struct proof *p, uint32_t secret, uint32_t target)
{
    enum proof_answer answer;
    assert_int_equal(proof_enter(p, secret, target, &answer, NULL), RC_OK);
    return answer;
}

static void expect_next(struct proof *p, uint32_t target, enum proof_answer answer)
{
    uint32_t t = UINT32_MAX;
    enum proof_answer a = PROOF_WAIT;
    assert_true(proof_next(p, &t, &a));
    assert_int_equal(t, target);
    assert_int_equal(a, answer);
}

static void expect_none(struct proof *p)
{
    uint32_t t;
    enum proof_answer a;
    assert_false(proof_next(p, &t, &a));
}

static struct proof *new_proof(uint32_t at_once, uint32_t bar)
{
    struct proof *p;
    assert_int_equal(proof_new(&p, at_once, bar, NULL), RC_OK);
    return p;
}

static void few_until_one_was_let_in(void **state)
{
    (void)state;
    struct proof *p = new_proof(2, 20);
    assert_int_equal(enter(p, 1, 10), PROOF_GO);
    assert_int_equal(enter(p, 1, 11), PROOF_GO);
    for (uint32_t t = 12; t < 20; t++)
        assert_int_equal(enter(p, 1, t), PROOF_WAIT);
    assert_int_equal(enter(p, 2, 30), PROOF_GO); /* another secret is another matter */
    expect_none(p);
    proof_leave(p, 10, PROOF_REFUSED);
    expect_next(p, 12, PROOF_GO);
    expect_none(p);
    proof_leave(p, 13, PROOF_UNUSED); /* it waits no longer */
    expect_none(p);
    proof_leave(p, 11, PROOF_ACCEPTED);
    for (uint32_t t = 14; t < 20; t++)
        expect_next(p, t, PROOF_GO);
    expect_none(p);
    for (uint32_t t = 40; t < 100; t++)
        assert_int_equal(enter(p, 1, t), PROOF_GO);
    proof_leave(p, 40, PROOF_REFUSED); /* of no account any more */
    proof_leave(p, 12, PROOF_REFUSED);
    assert_int_equal(enter(p, 1, 200), PROOF_GO);
    proof_free(p);
}

static void nobody_after_many_refusals(void **state)
{
    (void)state;
    struct proof *p = new_proof(2, 3);
    for (uint32_t t = 0; t < 6; t++)
        assert_int_equal(enter(p, 9, t), t < 2 ? PROOF_GO : PROOF_WAIT);
    proof_leave(p, 0, PROOF_REFUSED);
    expect_next(p, 2, PROOF_GO);
    proof_leave(p, 1, PROOF_REFUSED);
    expect_next(p, 3, PROOF_GO);
    proof_leave(p, 2, PROOF_REFUSED);
    assert_int_equal(proof_refusals(p, 9), 3);
    expect_next(p, 4, PROOF_BARRED);
    expect_next(p, 5, PROOF_BARRED);
    expect_none(p);
    assert_int_equal(enter(p, 9, 50), PROOF_BARRED);
    proof_leave(p, 3, PROOF_ACCEPTED); /* one was still under way, and it was right after all */
    assert_int_equal(enter(p, 9, 51), PROOF_GO);
    proof_free(p);
}

static void without_a_bar(void **state)
{
    (void)state;
    struct proof *p = new_proof(1, 0);
    assert_int_equal(enter(p, 1, 0), PROOF_GO);
    for (uint32_t t = 1; t < 100; t++)
        assert_int_equal(enter(p, 1, t), PROOF_WAIT);
    for (uint32_t t = 0; t < 99; t++) {
        proof_leave(p, t, PROOF_REFUSED);
        expect_next(p, t + 1, PROOF_GO);
    }
    proof_free(p);
}

static void leaving_without_entering(void **state)
{
    (void)state;
    struct proof *p = new_proof(1, 5);
    proof_leave(p, 7, PROOF_ACCEPTED);
    expect_none(p);
    assert_int_equal(proof_refusals(p, 7), 0);
    proof_free(p);
    proof_free(NULL);
}

static void no_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    for (long n = 0;; n++) {
        struct proof *p = NULL;
        enum proof_answer a;
        mem_fail_after(n);
        enum rc rc = proof_new(&p, 1, 1, NULL);
        if (rc == RC_OK)
            rc = proof_enter(p, 1, 1, &a, NULL);
        if (rc == RC_OK)
            rc = proof_enter(p, 1, 2, &a, NULL);
        mem_fail_after(-1);
        proof_free(p);
        assert_int_equal(mem_live(), live);
        if (rc == RC_OK)
            break;
        assert_int_equal(rc, RC_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_until_one_was_let_in),
        cmocka_unit_test(nobody_after_many_refusals),
        cmocka_unit_test(without_a_bar),
        cmocka_unit_test(leaving_without_entering),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
