/* PROBE and UPLOAD of remote.h: what the command lines of script.h answer, and what follows from
 * it.
 */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/remote/remote_int.h"

static const struct {
    enum problem problem;
} of_refusal[REFUSAL_COUNT] = {
    [REFUSAL_NONE] = {PROBLEM_AGENT_NO_PLACE},   [REFUSAL_ERROR] = {PROBLEM_AGENT_NO_PLACE},
    [REFUSAL_DENIED] = {PROBLEM_AGENT_NO_PLACE}, [REFUSAL_LINK] = {PROBLEM_AGENT_NO_PLACE},
    [REFUSAL_OWNER] = {PROBLEM_AGENT_NO_PLACE},  [REFUSAL_MODE] = {PROBLEM_AGENT_NO_PLACE},
    [REFUSAL_NOEXEC] = {PROBLEM_AGENT_NO_EXEC},  [REFUSAL_READ_ONLY] = {PROBLEM_READ_ONLY_FS},
    [REFUSAL_POLICY] = {PROBLEM_EXEC_DENIED},    [REFUSAL_QUOTA] = {PROBLEM_DISK_FULL},
    [REFUSAL_FULL] = {PROBLEM_DISK_FULL},
};

/* ---- noise --------------------------------------------------------------------------------- */

/* What of standard output is not ours: up to our first line, where there is one. */
static size_t noise_length(const struct remote *r)
{
    const uint8_t *ours = r->out.len > 0 ? memmem(r->out.data, r->out.len, "muster-", 7) : NULL;
    return ours != NULL ? (size_t)(ours - r->out.data) : r->out.len;
}

void noise_text(const struct remote *r, char *dst, size_t cap)
{
    size_t n = noise_length(r);
    dst[0] = '\0';
    if (n == 0)
        return;
    char head[200];
    str_escape_to(head, sizeof head, r->out.data, n < 256 ? n : 256, 0);
    snprintf(dst, cap, "; start-up files print to standard output: \"%s\"", head);
}

/* ---- probe --------------------------------------------------------------------------------- */

enum rc probe_start(struct remote *r, struct err *e)
{
    struct script_spec s;
    struct buf line;
    char letters[sizeof r->refused / sizeof r->refused[0] + 1];
    for (size_t i = 0; i < r->refused_count; i++)
        letters[i] = r->refused[i].place;
    letters[r->refused_count] = '\0';
    buf_init(&line, SCRIPT_MAX);
    enum rc rc = command_begin(r, &s);
    s.refused = letters;
    if (rc == RC_OK && r->spec.mode != REMOTE_GIVEN)
        rc = script_probe(&line, &s, e);
    if (rc == RC_OK)
        rc = command_exec(r, &line, REMOTE_INPUT_DUPLEX, 0);
    buf_fini(&line);
    if (rc != RC_OK)
        return rc;
    r->probes++;
    r->was_damaged |= r->damaged != '\0';
    r->damaged = '\0';
    r->deadline = r->now + r->spec.hello_ms;
    return RC_OK;
}

static void probe_again(struct remote *r)
{
    state_enter(r, S_PROBE);
    if (probe_start(r, NULL) != RC_OK)
        state_nomem(r);
}

/* Bytes that are not frames yet. False when there is no room for them any more. */
static bool keep_output(struct remote *r, const uint8_t *p, size_t n)
{
    enum rc rc = buf_append(&r->out, p, n);
    if (rc == RC_NOMEM)
        state_nomem(r);
    else if (rc == RC_LIMIT)
        state_fail(r, PROBLEM_START_UP_NOISE, PHASE_HELLO,
                   "%d bytes of standard output, and the agent is not among them: \"%.200s\"",
                   AGENT_NOISE_MAX, (const char *)r->out.data);
    return rc == RC_OK;
}

static bool remember_noise(struct remote *r, size_t preamble)
{
    const char *line;
    size_t len, noise = noise_length(r);
    noise = noise < preamble ? noise : preamble;
    r->place = '\0';
    if (report_find(r->out.data, preamble, "muster-start", r->nonce, &line, &len))
        r->place = report_start(line, len);
    r->noise = noise;
    mem_free(r->noise_head);
    r->noise_head = NULL;
    if (noise == 0)
        return true;
    char head[REMOTE_NOISE_TEXT];
    str_escape_to(head, sizeof head, r->out.data, noise < 256 ? noise : 256, 0);
    r->noise_head = mem_strdup(head);
    return r->noise_head != NULL;
}

/* The magic was found at `at`, and the nonce after it is there. */
static void preamble(struct remote *r, size_t at)
{
    if (memcmp(r->out.data + at + AGENT_MAGIC_LEN, r->nonce_raw, AGENT_NONCE_LEN) != 0) {
        state_fail(r, PROBLEM_AGENT_PROTOCOL, PHASE_HELLO,
                   "an agent spoke with another nonce than the one it was given");
        return;
    }
    uint64_t deadline = r->deadline;
    if (!remember_noise(r, at)) {
        state_nomem(r);
        return;
    }
    state_enter(r, S_HELLO);
    r->deadline = deadline;
    r->heard = r->now;
    struct buf rest = r->out;
    buf_init(&r->out, rest.max);
    at += AGENT_PREAMBLE_LEN;
    if (rest.len > at)
        frames_output(r, rest.data + at, rest.len - at);
    buf_fini(&rest);
}

static void look_for_report(struct remote *r, const char *word)
{
    const char *line;
    size_t len;
    if (!r->reported && report_find(r->out.data, r->out.len, word, r->nonce, &line, &len)) {
        r->reported = true;
        uint64_t at = r->now + REMOTE_SETTLE_MS;
        r->deadline = at < r->deadline ? at : r->deadline;
    }
}

/* In pieces, so that what follows a preamble is never in the way of the noise's bound. */
void probe_output(struct remote *r, const uint8_t *p, size_t n)
{
    while (n > 0 && r->state == S_PROBE) {
        size_t room = r->out.max - r->out.len, part = n < 4096 ? n : 4096;
        part = room > 0 && room < part ? room : part;
        if (!keep_output(r, p, part))
            return;
        p += part;
        n -= part;
        const uint8_t *from = r->out.data + r->scanned;
        const uint8_t *at = memmem(from, r->out.len - r->scanned, agent_magic, AGENT_MAGIC_LEN);
        if (at != NULL) {
            r->scanned = (size_t)(at - r->out.data);
            if (r->out.len - r->scanned >= AGENT_PREAMBLE_LEN)
                preamble(r, r->scanned);
        } else if (r->out.len >= AGENT_MAGIC_LEN) {
            r->scanned = r->out.len - (AGENT_MAGIC_LEN - 1);
        }
    }
    if (r->state == S_PROBE)
        look_for_report(r, "muster-probe");
    else if (n > 0 && r->state != S_DONE)
        frames_output(r, p, n);
}

/* ---- what a report means ------------------------------------------------------------------- */

/* No agent can run there: plain sh, where that will do, or an end. */
static void unavailable(struct remote *r, enum problem p, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void unavailable(struct remote *r, enum problem p, const char *fmt, ...)
{
    char text[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (r->spec.fallback)
        fallback_enter(r, p, text);
    else
        state_fail(r, p, PHASE_HELLO, "%s", text);
}

static void refuse(struct remote *r, char place, enum refusal why)
{
    for (size_t i = 0; i < r->refused_count; i++)
        if (r->refused[i].place == place) {
            r->refused[i].why = why > r->refused[i].why ? why : r->refused[i].why;
            return;
        }
    if (r->refused_count < sizeof r->refused / sizeof r->refused[0])
        r->refused[r->refused_count++] = (struct refused){place, why};
}

/* Nowhere: the worst reason names the problem, all of them are told. */
static void nowhere(struct remote *r)
{
    char text[300], place[300];
    size_t n = 0;
    enum refusal worst = REFUSAL_NONE;
    for (size_t i = 0; i < r->report.refused_count; i++)
        refuse(r, r->report.refused[i].place, r->report.refused[i].why);
    text[0] = '\0';
    for (size_t i = 0; i < r->refused_count && n < sizeof text; i++) {
        enum refusal why = r->refused[i].why;
        worst = why > worst ? why : worst;
        place_text(place, sizeof place, r->refused[i].place, r->spec.dirs, r->spec.dir_count);
        int k = snprintf(text + n, sizeof text - n, "%s%.80s: %s", n > 0 ? "; " : "", place,
                         refusal_text(why));
        n += k > 0 ? (size_t)k : 0;
    }
    unavailable(r, of_refusal[worst].problem, "%s", text);
}

static const struct remote_blob *find_blob(const struct remote *r)
{
    for (size_t i = 0; i < r->spec.blob_count; i++)
        if (strcmp(r->report.os, "Linux") == 0 &&
            strcmp(r->report.arch, r->spec.blobs[i].arch) == 0)
            return &r->spec.blobs[i];
    return NULL;
}

static void upload_start(struct remote *r, const struct remote_blob *blob)
{
    struct script_spec s;
    struct buf line;
    buf_init(&line, SCRIPT_MAX);
    state_enter(r, S_UPLOAD);
    enum rc rc = command_begin(r, &s);
    if (rc == RC_OK)
        rc = script_upload(&line, &s, r->report.place, blob, NULL);
    r->place = r->report.place;
    if (rc == RC_OK)
        rc = command_exec(r, &line, REMOTE_INPUT_BLOB, blob->number);
    buf_fini(&line);
    if (rc != RC_OK) {
        state_nomem(r);
        return;
    }
    r->uploads++;
    r->upload_by = r->now + REMOTE_UPLOAD_MS;
    r->deadline = r->now + r->spec.stall_ms;
    if (r->spec.mode == REMOTE_TEMPORARY)
        memcpy(r->temporary, r->nonce, sizeof r->temporary);
}

static void decide(struct remote *r)
{
    const struct remote_blob *blob = find_blob(r);
    char place[300];
    if (r->spec.mode == REMOTE_NEVER)
        fallback_enter(r, PROBLEM_NONE, "");
    else if (r->spec.mode == REMOTE_INSTALLED)
        unavailable(r, PROBLEM_AGENT_MISSING,
                    "not in /usr/libexec/muster, /usr/local/libexec/muster or PATH");
    else if (blob == NULL)
        unavailable(r, PROBLEM_AGENT_NO_BINARY, "%s %s%s", r->report.os, r->report.arch,
                    r->report.bits == 32 ? ", 32 bits" : "");
    else if (r->report.place == '\0')
        nowhere(r);
    else if (r->uploads >= MAX_UPLOADS || r->probes >= MAX_PROBES)
        unavailable(
            r, PROBLEM_AGENT_UPLOAD, "stored in %s, and not found there",
            place_text(place, sizeof place, r->report.place, r->spec.dirs, r->spec.dir_count));
    else
        upload_start(r, blob);
}

/* It said that it becomes the agent, and ended without a word of it: that place is no good. */
static void start_failed(struct remote *r, const struct outcome *o, char place)
{
    char text[260], where[300];
    ended_text(r, o, text, sizeof text);
    place_text(where, sizeof where, place, r->spec.dirs, r->spec.dir_count);
    bool denied = o->exit_code == 126;
    if (r->probes >= MAX_PROBES || r->spec.mode == REMOTE_INSTALLED || place == 'i')
        unavailable(r, denied ? PROBLEM_EXEC_DENIED : PROBLEM_AGENT_DIED, "%.100s: %s", where,
                    text);
    else {
        if (o->exit_code == AGENT_EXIT_DIGEST && !r->was_damaged)
            r->damaged = place;
        else
            refuse(r, place, denied ? REFUSAL_POLICY : REFUSAL_ERROR);
        r->temporary[0] = '\0';
        probe_again(r);
    }
}

/* A command that we hung up after its answer ends as it likes. */
static bool lost(struct remote *r, const struct outcome *o)
{
    if (!is_transport(o) || (r->reported && r->hung && o->problem != PROBLEM_CONNECTION_LOST))
        return false;
    state_fail(r, o->problem, o->phase, "%s", o->detail);
    return true;
}

void probe_ended(struct remote *r, const struct outcome *o)
{
    const char *line;
    size_t len;
    char text[260], noise[300];
    if (lost(r, o))
        return;
    if (report_find(r->out.data, r->out.len, "muster-probe", r->nonce, &line, &len)) {
        if (report_probe(line, len, &r->report) == RC_OK)
            decide(r);
        else
            state_fail(r, PROBLEM_AGENT_PROTOCOL, PHASE_HELLO, "an answer that is none: \"%.*s\"",
                       (int)(len < 200 ? len : 200), line);
    } else if (report_find(r->out.data, r->out.len, "muster-start", r->nonce, &line, &len) &&
               report_start(line, len) != '\0') {
        start_failed(r, o, report_start(line, len));
    } else {
        ended_text(r, o, text, sizeof text);
        noise_text(r, noise, sizeof noise);
        state_fail(r, PROBLEM_NO_SHELL, PHASE_HELLO, "%s%s", text, noise);
    }
}

/* ---- upload -------------------------------------------------------------------------------- */

void upload_output(struct remote *r, const uint8_t *p, size_t n)
{
    if (keep_output(r, p, n))
        look_for_report(r, "muster-placed");
}

static void upload_failed(struct remote *r, const struct placed_report *p, const struct outcome *o)
{
    char text[260], where[300];
    ended_text(r, o, text, sizeof text);
    place_text(where, sizeof where, r->place, r->spec.dirs, r->spec.dir_count);
    r->temporary[0] = '\0';
    if (r->probes < MAX_PROBES && r->uploads < MAX_UPLOADS && p->what != PLACED_ARCH) {
        if (p->what == PLACED_REFUSED || p->what == PLACED_RUN)
            refuse(r, r->place, p->what == PLACED_RUN ? REFUSAL_ERROR : p->why);
        probe_again(r);
        return;
    }
    switch (p->what) {
    case PLACED_REFUSED:
        refuse(r, r->place, p->why);
        r->report.refused_count = 0;
        nowhere(r);
        return;
    case PLACED_ARCH:
        unavailable(r, PROBLEM_AGENT_NO_BINARY, "%s %s cannot execute the agent for it",
                    r->report.os, r->report.arch);
        return;
    case PLACED_DIGEST:
        unavailable(r, PROBLEM_AGENT_DAMAGED, "%.100s: another digest than what was sent", where);
        return;
    case PLACED_SHORT:
        unavailable(r, PROBLEM_AGENT_UPLOAD, "%.100s: not all of it arrived", where);
        return;
    default:
        unavailable(r, PROBLEM_AGENT_UPLOAD, "%.100s: the agent could not place itself: exit %u",
                    where, p->exit_code);
    }
}

void upload_ended(struct remote *r, const struct outcome *o)
{
    struct placed_report p;
    const char *line;
    size_t len;
    char text[260];
    if (lost(r, o))
        return;
    if (!report_find(r->out.data, r->out.len, "muster-placed", r->nonce, &line, &len)) {
        ended_text(r, o, text, sizeof text);
        state_fail(r, PROBLEM_AGENT_UPLOAD, PHASE_HELLO,
                   "the command that stores it gave no answer: %s", text);
    } else if (report_placed(line, len, &p) != RC_OK) {
        state_fail(r, PROBLEM_AGENT_PROTOCOL, PHASE_HELLO, "an answer that is none: \"%.*s\"",
                   (int)(len < 200 ? len : 200), line);
    } else if (!p.ok) {
        upload_failed(r, &p, o);
    } else if (r->probes >= MAX_PROBES) {
        state_fail(r, PROBLEM_AGENT_UPLOAD, PHASE_HELLO, "the agent was stored and never started");
    } else {
        probe_again(r);
    }
}
