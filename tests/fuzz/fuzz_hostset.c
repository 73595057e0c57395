/* Host sets: whatever is accepted must fold, and the fold must stand for the same names. */
#include <stdint.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "inventory/hostset.h"

/* Larger sets are correct by the same code and only slow this down. */
enum { MAX_INPUT = 2000, MAX_NAMES = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rc resolve(void *user, const char *term, struct hostset *out, struct err *e)
{
    (void)user;
    return term[0] == '@' ? hostset_add(out, term + 1, e) : RC_NOTFOUND;
}

/* Ranges may stand for ten million names; the digits they are written with tell how many at most.
 */
static int is_large(const char *text)
{
    double product = 1, most = 1, run = 1;
    for (; *text != '\0' && product < MAX_NAMES; text++) {
        run = *text >= '0' && *text <= '9' ? run * 10 : 1;
        most = run > most ? run : most;
        if (*text == '[' || *text == ']') {
            product *= *text == ']' ? most : 1;
            most = run = 1;
        }
    }
    return product >= MAX_NAMES;
}

static void round_trip(const struct hostset *s)
{
    struct hostset *back;
    struct buf folded;
    struct err e = {0};
    buf_init(&folded, 1 << 26);
    must(hostset_fold(s, &folded, &e) == RC_OK);
    must(hostset_new(&back, &e) == RC_OK);
    /* A name may hold what the notation reads otherwise ("a!b" can come from a callback). */
    if (hostset_parse(back, buf_cstr(&folded), resolve, NULL, &e) == RC_OK) {
        for (size_t i = 0; i < hostset_count(s); i++)
            must(strchr(hostset_at(s, i), '@') != NULL || hostset_has(back, hostset_at(s, i)));
    }
    hostset_free(back);
    buf_fini(&folded);
}

static void try_text(const char *text)
{
    struct err e = {0};
    struct hostset *s;
    (void)hostset_is_range(text);
    must(hostset_compare(text, text) == 0);
    if (is_large(text))
        return;
    must(hostset_new(&s, &e) == RC_OK);
    enum rc rc = hostset_parse(s, text, resolve, NULL, &e);
    must(rc == RC_OK || rc == RC_NOTFOUND || e.rc == rc);
    if (rc == RC_OK && hostset_count(s) < MAX_NAMES)
        round_trip(s);
    hostset_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MAX_INPUT || memchr(data, '\0', size) != NULL)
        return 0;
    /* Its exact size on the heap: a read past the end is then seen. */
    char *text = mem_alloc(size + 1);
    must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    try_text(text);
    mem_free(text);
    return 0;
}
