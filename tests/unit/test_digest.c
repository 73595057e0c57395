/* agent/digest against libsodium's SHA-256: every length around a block, any cutting into parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <sodium.h>

#include "agent/digest.h"

static uint8_t bytes[70000];

static void compare(const uint8_t ours[DIGEST_LEN], size_t n)
{
    uint8_t theirs[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(theirs, bytes, n);
    assert_memory_equal(ours, theirs, sizeof theirs);
}

static void every_length(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n++) {
        struct digest d;
        uint8_t out[DIGEST_LEN];
        digest_init(&d);
        digest_update(&d, bytes, n);
        digest_final(&d, out);
        compare(out, n);
    }
}

static void every_cut(void **state)
{
    (void)state;
    for (size_t first = 0; first <= 200; first++) {
        struct digest d;
        uint8_t out[DIGEST_LEN];
        digest_init(&d);
        digest_update(&d, bytes, first);
        digest_update(&d, bytes + first, 0);
        for (size_t i = first; i < 200; i += 7)
            digest_update(&d, bytes + i, 200 - i < 7 ? 200 - i : 7);
        digest_final(&d, out);
        compare(out, 200);
    }
}

static void a_file_from_where_it_stands(void **state)
{
    (void)state;
    uint8_t theirs[crypto_hash_sha256_BYTES];
    char hex[DIGEST_HEX + 1], want[DIGEST_HEX + 1];
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, sizeof bytes, f), sizeof bytes);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(lseek(fileno(f), 5, SEEK_SET), 5);
    assert_int_equal(digest_file(fileno(f), hex), 0);
    crypto_hash_sha256(theirs, bytes + 5, sizeof bytes - 5);
    sodium_bin2hex(want, sizeof want, theirs, sizeof theirs);
    assert_string_equal(hex, want);
    fclose(f);
    assert_int_equal(digest_file(-1, hex), -1);
}

int main(void)
{
    randombytes_buf_deterministic(bytes, sizeof bytes, (const uint8_t[randombytes_SEEDBYTES]){1});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length),
        cmocka_unit_test(every_cut),
        cmocka_unit_test(a_file_from_where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
