/* controller/remote/blob: the agents inside the program are whole, and are programs of their kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h>

#include "controller/remote/blob.h"

static void digests_are_of_the_bytes(void **state)
{
    (void)state;
    const struct blob *b;
    for (size_t i = 0; (b = blob_at(i)) != NULL; i++) {
        uint8_t hash[crypto_hash_sha256_BYTES];
        char hex[2 * sizeof hash + 1];
        crypto_hash_sha256(hash, b->data, b->len);
        sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
        assert_string_equal(hex, b->sha256);
        assert_ptr_equal(blob_find(b->arch), b);
    }
    assert_null(blob_at(99));
}

/* e_machine of an ELF header, little-endian in both. */
static void each_is_of_its_architecture(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        uint8_t machine;
        size_t max;
    } known[] = {{"x86_64", 62, 256 * 1024}, {"aarch64", 183, 1024 * 1024}};
    const struct blob *b;
    for (size_t i = 0; (b = blob_at(i)) != NULL; i++) {
        const uint8_t *p = b->data;
        size_t k = strcmp(b->arch, known[0].arch) == 0 ? 0 : 1;
        assert_string_equal(b->arch, known[k].arch);
        assert_in_range(b->len, 1024, known[k].max);
        assert_memory_equal(p, "\177ELF\2\1", 6);
        assert_int_equal(p[18], known[k].machine);
        assert_int_equal(p[19], 0);
    }
}

static void what_was_built_is_inside(void **state)
{
    (void)state;
    assert_null(blob_find("sparc64"));
    assert_null(blob_find(""));
    size_t n = 0;
    while (blob_at(n) != NULL)
        n++;
    assert_int_equal(n, MUSTER_AGENT_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_of_the_bytes),
        cmocka_unit_test(each_is_of_its_architecture),
        cmocka_unit_test(what_was_built_is_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
