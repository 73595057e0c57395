/* Host certificates from any bytes: taking apart, asking and verifying must neither crash nor read
 * out of bounds, and what was taken apart must lie within the bytes. */
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "common/err.h"
#include "controller/keyscan/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct cert_bytes b, const uint8_t *data, size_t size)
{
    must(b.p >= data && b.len <= size && (size_t)(b.p - data) <= size - b.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cert c;
    struct err e = {0};
    if (sodium_init() < 0 || cert_parse(&c, data, size, &e) != RC_OK) {
        must(e.rc == RC_PARSE || e.rc == RC_OK);
        return 0;
    }
    within(c.key, data, size);
    within(c.id, data, size);
    within(c.principals, data, size);
    within(c.authority, data, size);
    within(c.body, data, size);
    within(c.signature, data, size);
    must(c.principal_count <= CERT_MAX_PRINCIPALS);
    (void)cert_covers(&c, "web1", 1800000000, &e);
    for (const char *p = e.msg; *p != '\0'; p++)
        must((unsigned char)*p >= ' ');
    (void)cert_verify(&c, &e);
    (void)cert_is_of_key(&c, data, size);
    return 0;
}
