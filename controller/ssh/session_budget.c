/* How much a server may send before it is taken for a flood: so many bytes in each state before the
 * command, and beside the command's own bytes once it runs. See session_int.h. */
#include "controller/ssh/session_int.h"

enum {
    NOISE_BYTES = 256 * 1024, /* what may come beside the command's own bytes while it runs, */
    NOISE_PER_PACKET = 128,   /* with each packet of them, */
    NOISE_SHARE = 8,          /* with so many bytes of its output or input (new keys, windows), */
    NOISE_PER_SECOND = 1024,  /* and in each second (keepalives) */
};

/* From the request on: more has come than the command's own bytes explain. Whatever it is made of
 * (messages without meaning, requests, windows, new keys without end), it only keeps us busy. */
static bool is_noisy(const struct session *s)
{
    const struct so_far *r = &s->result;
    uint64_t data = r->stdout_bytes + r->stderr_bytes;
    uint64_t fair = NOISE_BYTES + data + (data + s->input_done) / NOISE_SHARE +
                    s->data_packets * NOISE_PER_PACKET +
                    (session_elapsed_us(s) - s->exec_us) / 1000000 * NOISE_PER_SECOND;
    return sshio_bytes_in(s->io) - s->run_bytes > fair;
}

static enum step check_noise(struct session *s)
{
    if (!is_noisy(s))
        return STEP_WAIT;
    if (s->cancel_seen)
        return session_cancel_ended(s);
    return session_fail(s, PROBLEM_PROTOCOL_ERROR, "the server floods us with what is no output");
}

enum step session_check_budget(struct session *s, uint64_t budget)
{
    if (s->state >= S_REQUEST && s->state <= S_IDLE)
        return check_noise(s);
    if (s->io == NULL || budget == 0 || sshio_bytes_in(s->io) - s->state_bytes <= budget)
        return STEP_WAIT;
    if (s->state == S_BANNER)
        return session_fail(s, PROBLEM_HOSTILE, "%u KiB and no SSH banner among them",
                            (unsigned)(budget / 1024));
    return session_fail(s, PROBLEM_HOSTILE,
                        "the server sent more than %u KiB before it let us go on",
                        (unsigned)(budget / 1024));
}
