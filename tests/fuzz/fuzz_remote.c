/* What a host says to controller/remote: standard output, standard error, ends of commands.
 * The input is a list of acts: a byte says which, the next two how long its bytes are. The machine
 * must stay within its bounds, end each request once, and say one last word when it is closed
 * (tests/unit/remote_host.h checks).
 */
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/remote_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The acts that need to know the nonce, which the input cannot. */
static void act(struct host *h, uint8_t what, const uint8_t *p, size_t n)
{
    char text[SCRIPT_REPORT_MAX + 200];
    uint64_t id = h->live_count > 0 ? h->live[0] : 0;
    size_t taken;
    switch (what % 12) {
    case 0: host_preamble(h, n > 0 ? 'c' : 0); break;
    case 1: host_hello(h); break;
    case 2:
    case 3:
        n = n < SCRIPT_REPORT_MAX ? n : SCRIPT_REPORT_MAX;
        snprintf(text, sizeof text, "%s %s %.*s\n",
                 what % 12 == 2 ? "muster-probe" : "muster-placed", h->nonce, (int)n,
                 (const char *)p);
        host_text(h, text);
        break;
    case 4: remote_output(h->r, h->now, true, p, n); break;
    case 5:
        if (h->running)
            host_ends(h, PROBLEM_NONE, n > 0 ? p[0] : 0, n > 1 ? "SEGV" : NULL);
        break;
    case 6: (void)host_request(h, n > 0 ? "stats" : "exec"); break;
    case 7: (void)remote_input(h->r, h->now, id, p, n, n % 2, &taken); break;
    case 8: remote_cancel(h->r, h->now, id, n); break;
    case 9:
        h->now = remote_wake_at(h->r) != UINT64_MAX ? remote_wake_at(h->r) : h->now + n;
        remote_tick(h->r, h->now);
        break;
    case 10: /* a frame of that type about a request that lives */
        if (n > 0)
            host_frame(h, p[0], id, p + 1, n - 1);
        break;
    default: host_out(h, p, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct host h;
    struct remote_spec s = host_spec();
    if (size == 0)
        return 0;
    s.fallback = data[0] & 1;
    s.mode = (enum remote_mode)(data[0] >> 1 & 3);
    size_t live = mem_live();
    host_init(&h);
    must(remote_new(&h.r, &s, &host_ops, &h, NULL) == RC_OK);
    must(remote_start(h.r, h.now, NULL) == RC_OK);
    for (size_t at = 1; at + 3 <= size && h.finals == 0;) {
        size_t n = (size_t)data[at + 1] << 8 | data[at + 2], left = size - at - 3;
        n = n < left ? n : left;
        act(&h, data[at], data + at + 3, n);
        at += 3 + n;
        must(remote_memory(h.r) <= FRAME_MAX + 600 * 1024);
    }
    remote_close(h.r, h.now);
    for (int i = 0; i < 4 && h.finals == 0; i++) {
        h.now = remote_wake_at(h.r) > h.now ? remote_wake_at(h.r) : h.now;
        remote_tick(h.r, h.now);
    }
    must(h.finals == 1);
    host_fini(&h);
    must(mem_live() == live);
    return 0;
}
