/* Writing a record. See record.h; docs/record.md gives the format.
 *
 * The loop thread appends lines to `pending` and pieces of output to `pieces`, both under the lock;
 * the thread takes all there is and writes it outside the lock. The file always ends with a whole
 * line: when a write fails half-way, the file is cut back to the last newline that got in, what
 * follows is counted as lost, and later lines are tried again. The lock on the file, held until the
 * end by whoever writes it, tells readers that the run is still going on.
 */
#include "controller/record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/record/internal.h"

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* in the order of ASCII */

/* Ids sort by time down to the millisecond (two digits); the last two are chance. */
static void make_id(char *dst, int64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    unsigned ms = (unsigned)(wall_us / 1000 % 1000);
    struct tm tm;
    uint16_t chance = 0;
    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        chance = (uint16_t)(clock_us() ^ (uint64_t)getpid());
    gmtime_r(&seconds, &tm);
    char day[RECORD_ID - 8];
    strftime(day, sizeof day, "%Y%m%d-%H%M%S", &tm);
    snprintf(dst, RECORD_ID, "%s-%c%c%c%c", day, digits[ms >> 5], digits[ms & 31],
             digits[chance >> 5 & 31], digits[chance & 31]);
}

/* Makes every folder of the path that is missing. Blanks out nothing that exists. */
static enum rc make_dirs(char *path, struct err *e)
{
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        int failed = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : errno;
        if (failed != 0)
            err_sys(e, failed, "cannot make the folder %s for the record", path);
        *p = was;
        if (failed != 0)
            return RC_SYS;
        if (was == '\0')
            return RC_OK;
    }
}

static enum rc create_file(struct record *r, struct err *e)
{
    char path[RECORD_PATH];
    for (int tries = 0; tries < 100; tries++) {
        make_id(r->id, clock_wall_us());
        if (snprintf(path, sizeof path, "%s/%s.ndjson", r->dir, r->id) >= (int)sizeof path)
            return err_set(e, RC_CONFIG, "the path of the state folder is too long");
        r->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (r->fd >= 0)
            break;
        if (errno != EEXIST)
            return err_sys(e, errno, "cannot write the record %s", path);
    }
    if (r->fd < 0)
        return err_set(e, RC_EXISTS, "no free name for the record in %s", r->dir);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(r->fd, F_OFD_SETLK, &lock) != 0)
        log_info("the record cannot be locked: a run that goes on will look as if it had ended");
    return RC_OK;
}

static void remove_file(struct record *r)
{
    char path[RECORD_PATH];
    if (r->fd < 0)
        return;
    snprintf(path, sizeof path, "%s/%s.ndjson", r->dir, r->id);
    unlink(path);
}

static enum rc put_list(struct buf *out, const char *name, const char *const *items, size_t count)
{
    enum rc rc = buf_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        if (i > 0)
            rc = buf_putc(out, ',');
        if (rc == RC_OK)
            rc = record_put_text(out, items[i]);
    }
    return rc == RC_OK ? buf_putc(out, ']') : rc;
}

static enum rc put_field(struct buf *out, const char *name, const char *text)
{
    enum rc rc = buf_printf(out, ",\"%s\":", name);
    return rc == RC_OK ? record_put_text(out, text) : rc;
}

static enum rc put_start(const struct record *r, const struct record_start *s, struct buf *out)
{
    char when[40];
    clock_rfc3339(when, sizeof when, clock_wall_us());
    enum rc rc = buf_printf(out,
                            "{\"type\":\"start\",\"schema\":\"" RECORD_SCHEMA
                            "\",\"run\":\"%s\",\"started\":\"%s\",",
                            r->id, when);
    if (rc == RC_OK)
        rc = record_identity(out);
    if (rc == RC_OK)
        rc = buf_puts(out, "\"muster\":\"" MUSTER_VERSION "\"");
    if (rc == RC_OK)
        rc = put_field(out, "command", s->command);
    if (rc == RC_OK)
        rc = put_field(out, "command_digest", s->command_digest);
    if (rc == RC_OK)
        rc = put_field(out, "pattern", s->pattern);
    if (rc == RC_OK)
        rc = put_field(out, "reason", s->reason);
    if (rc == RC_OK)
        rc = put_field(out, "retry_of", s->retry_of);
    if (rc == RC_OK)
        rc = put_list(out, "argv", s->argv_safe, s->argc);
    if (rc == RC_OK)
        rc = buf_printf(out, ",\"target_count\":%lu", (unsigned long)s->target_count);
    if (rc == RC_OK)
        rc = buf_printf(out, ",\"replay\":");
    if (rc == RC_OK)
        rc = buf_puts(out, s->replay != NULL ? s->replay : "null");
    if (rc == RC_OK)
        rc = put_list(out, "targets", s->targets, s->target_count);
    return rc == RC_OK ? buf_puts(out, "}\n") : rc;
}

static enum rc write_start(struct record *r, const struct record_start *s, struct err *e)
{
    struct buf line;
    size_t put;
    buf_init(&line, RECORD_MAX_LINE);
    enum rc rc = put_start(r, s, &line);
    if (rc != RC_OK) {
        buf_fini(&line);
        return rc == RC_NOMEM ? err_nomem(e) : err_set(e, rc, "the record of the run is too large");
    }
    int failed = record_pwrite(r->fd, line.data, line.len, 0, &put);
    r->size = line.len;
    buf_fini(&line);
    if (failed == 0 && fsync(r->fd) != 0)
        failed = errno;
    int dir = failed == 0 ? open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir >= 0) {
        /* Some file systems cannot sync folders; the file itself is safe. */
        (void)!fsync(dir);
        close(dir);
    }
    if (failed != 0)
        return err_sys(e, failed, "cannot write the record in %s, so the run is not started",
                       r->dir);
    return RC_OK;
}

/* The thread's part: lines. */
static uint64_t write_lines(struct record *r, const uint8_t *p, size_t n, int *failed)
{
    size_t put;
    *failed = record_pwrite(r->fd, p, n, r->size, &put);
    if (*failed == 0) {
        r->size += n;
        return 0;
    }
    while (put > 0 && p[put - 1] != '\n')
        put--;
    r->size += put;
    if (ftruncate(r->fd, (off_t)r->size) != 0)
        log_debug("the record could not be cut back to a whole line");
    uint64_t lost = 0;
    for (const uint8_t *at = p + put; (at = memchr(at, '\n', (size_t)(p + n - at))) != NULL; at++)
        lost++;
    return lost;
}

static void *writer(void *user)
{
    struct record *r = user;
    struct buf mine;
    buf_init(&mine, RECORD_MAX_QUEUE);
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->flush && !r->closing)
            pthread_cond_wait(&r->work, &r->lock);
        r->flush = false;
        struct buf lines = r->pending;
        struct piece *pieces = r->pieces;
        size_t taken = r->queued;
        int spool_failed = r->spool_failed, failed = 0;
        bool last = r->closing;
        r->pending = mine;
        r->pieces = NULL;
        r->tail = &r->pieces;
        pthread_mutex_unlock(&r->lock);

        uint64_t lost = lines.len > 0 ? write_lines(r, lines.data, lines.len, &failed) : 0;
        spool_failed = spool_write(r, pieces, spool_failed);
        mine = lines;
        buf_reset(&mine);

        pthread_mutex_lock(&r->lock);
        r->queued -= taken;
        r->lost += lost;
        r->spool_failed = spool_failed;
        if (r->failed == 0)
            r->failed = failed != 0 ? failed : spool_failed;
        pthread_cond_broadcast(&r->idle);
        if (last)
            break;
    }
    pthread_mutex_unlock(&r->lock);
    buf_fini(&mine);
    return NULL;
}

static void free_record(struct record *r)
{
    if (r == NULL)
        return;
    if (r->fd >= 0)
        close(r->fd);
    if (r->spool_dir >= 0)
        close(r->spool_dir);
    buf_fini(&r->pending);
    mem_free(r->names);
    mem_free(r->dir);
    mem_free(r);
}

/* The caller's names may go before the record does. */
static enum rc copy_names(struct record *r, const struct record_start *s, struct err *e)
{
    size_t text = 0;
    for (uint32_t i = 0; i < s->target_count; i++)
        text += strlen(s->targets[i]) + 1;
    r->names = mem_alloc(s->target_count * sizeof *r->names + text);
    if (r->names == NULL)
        return err_nomem(e);
    char *p = (char *)(r->names + s->target_count);
    for (uint32_t i = 0; i < s->target_count; i++) {
        size_t n = strlen(s->targets[i]) + 1;
        memcpy(p, s->targets[i], n);
        r->names[i] = p;
        p += n;
    }
    r->count = s->target_count;
    return RC_OK;
}

static enum rc make_place(struct record *r, const char *state_dir, struct err *e)
{
    size_t n = strlen(state_dir) + sizeof "/runs";
    if (n <= sizeof "/runs" || n > RECORD_PATH - 64)
        return err_set(e, RC_CONFIG, "the state folder's path is empty or too long");
    r->dir = mem_alloc(n);
    if (r->dir == NULL)
        return err_nomem(e);
    snprintf(r->dir, n, "%s/runs", state_dir);
    return make_dirs(r->dir, e);
}

static enum rc start_thread(struct record *r, struct err *e)
{
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->idle, NULL);
    int failed = pthread_create(&r->thread, NULL, writer, r);
    return failed == 0 ? RC_OK : err_sys(e, failed, "cannot start the thread of the record");
}

static void log_start(const struct record *r, const struct record_start *s)
{
    char text[512], command[300];
    const char *what = s->command != NULL ? s->command : s->command_digest;
    str_escape_to(command, sizeof command, what, strlen(what), 0);
    snprintf(text, sizeof text, "started on %lu hosts: %s", (unsigned long)s->target_count,
             command);
    record_syslog(r->id, text);
}

enum rc record_open(struct record **out, const char *state_dir, const struct record_start *start,
                    struct err *e)
{
    struct record *r = mem_calloc(1, sizeof *r);
    if (r == NULL)
        return err_nomem(e);
    r->fd = r->spool_dir = -1;
    r->tail = &r->pieces;
    buf_init(&r->pending, RECORD_MAX_QUEUE);
    enum rc rc = copy_names(r, start, e);
    if (rc == RC_OK)
        rc = make_place(r, state_dir, e);
    if (rc == RC_OK)
        rc = create_file(r, e);
    if (rc == RC_OK)
        rc = write_start(r, start, e);
    if (rc == RC_OK)
        rc = start_thread(r, e);
    if (rc != RC_OK) {
        remove_file(r);
        free_record(r);
        return rc;
    }
    log_start(r, start);
    *out = r;
    return RC_OK;
}

const char *record_id(const struct record *r)
{
    return r != NULL ? r->id : "";
}

/* Appends one line made of three parts, or counts it as lost. */
static void add_line(struct record *r, const char *head, const char *body, size_t n,
                     const char *foot)
{
    pthread_mutex_lock(&r->lock);
    size_t before = r->pending.len;
    enum rc rc = r->queued < RECORD_MAX_QUEUE && n < RECORD_MAX_QUEUE ? RC_OK : RC_LIMIT;
    if (rc == RC_OK)
        rc = buf_puts(&r->pending, head);
    if (rc == RC_OK)
        rc = buf_append(&r->pending, body, n);
    if (rc == RC_OK)
        rc = buf_puts(&r->pending, foot);
    if (rc == RC_OK) {
        r->queued += r->pending.len - before;
    } else {
        r->pending.len = before;
        r->lost++;
        if (r->failed == 0)
            r->failed = rc == RC_NOMEM ? ENOMEM : ENOBUFS;
    }
    pthread_mutex_unlock(&r->lock);
}

static void add_number(struct record *r, const char *type, uint32_t target)
{
    char line[64];
    must(target < r->count);
    int n = snprintf(line, sizeof line, "{\"type\":\"%s\",\"target\":%lu}", type,
                     (unsigned long)target);
    add_line(r, "", line, (size_t)n, "\n");
}

void record_started(struct record *r, uint32_t target)
{
    if (r == NULL)
        return;
    add_number(r, "started", target);
}

void record_sent(struct record *r, uint32_t target)
{
    if (r == NULL)
        return;
    add_number(r, "sent", target);
}

void record_result(struct record *r, const char *json, size_t len)
{
    if (r == NULL)
        return;
    add_line(r, "{\"type\":\"result\",\"result\":", json, len, "}\n");
}

void record_flush(struct record *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    if (r->pending.len > 0 && !r->flush) {
        r->flush = true;
        pthread_cond_signal(&r->work);
    }
    pthread_mutex_unlock(&r->lock);
}

bool record_full(struct record *r)
{
    if (r == NULL)
        return false;
    pthread_mutex_lock(&r->lock);
    r->full = r->queued > (r->full ? RECORD_MAX_QUEUE / 4 : RECORD_MAX_QUEUE / 2);
    bool full = r->full;
    pthread_mutex_unlock(&r->lock);
    return full;
}

static enum rc put_end(const struct record *r, const uint32_t counts[STATUS_COUNT], int exit_code,
                       const char *stopped, uint64_t duration_ms, struct buf *out)
{
    char when[40];
    clock_rfc3339(when, sizeof when, clock_wall_us());
    enum rc rc =
        buf_printf(out,
                   "{\"type\":\"end\",\"ended\":\"%s\",\"exit_code\":%d,"
                   "\"duration_ms\":%llu,\"lost_lines\":%llu,\"stopped\":",
                   when, exit_code, (unsigned long long)duration_ms, (unsigned long long)r->lost);
    if (rc == RC_OK)
        rc = record_put_text(out, stopped != NULL && *stopped != '\0' ? stopped : NULL);
    if (rc == RC_OK)
        rc = buf_puts(out, ",\"counts\":{");
    for (int s = 0; rc == RC_OK && s < STATUS_COUNT; s++)
        rc = buf_printf(out, "%s\"%s\":%lu", s > 0 ? "," : "", status_name((enum status)s),
                        (unsigned long)counts[s]);
    return rc == RC_OK ? buf_puts(out, "}}\n") : rc;
}

/* After the thread has ended. Returns errno of what went wrong, or 0. */
static int write_end(struct record *r, const uint32_t counts[STATUS_COUNT], int exit_code,
                     const char *stopped, uint64_t duration_ms)
{
    struct buf line;
    int failed = 0;
    buf_init(&line, 64 * 1024);
    if (put_end(r, counts, exit_code, stopped, duration_ms, &line) == RC_OK)
        r->lost += write_lines(r, line.data, line.len, &failed);
    else
        failed = ENOMEM;
    buf_fini(&line);
    return fsync(r->fd) != 0 && failed == 0 ? errno : failed;
}

enum rc record_end(struct record *r, const uint32_t counts[STATUS_COUNT], int exit_code,
                   const char *stopped, uint64_t duration_ms, struct err *e)
{
    if (r == NULL)
        return RC_OK;
    pthread_mutex_lock(&r->lock);
    r->closing = true;
    pthread_cond_signal(&r->work);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    r->ended = true;
    int failed = write_end(r, counts, exit_code, stopped, duration_ms);
    if (r->failed != 0)
        failed = r->failed;
    char text[128];
    snprintf(text, sizeof text, "ended with exit code %d, %lu ok%s%.40s", exit_code,
             (unsigned long)counts[STATUS_OK], stopped != NULL && *stopped != '\0' ? ", " : "",
             stopped != NULL ? stopped : "");
    record_syslog(r->id, text);
    if (failed == 0)
        return RC_OK;
    return err_sys(e, failed, "the record %s lacks %llu lines or some output", r->id,
                   (unsigned long long)r->lost);
}

void record_free(struct record *r)
{
    if (r == NULL)
        return;
    must(r->ended);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->idle);
    free_record(r);
}

enum rc record_close(struct record *r, const uint32_t counts[STATUS_COUNT], int exit_code,
                     const char *stopped, uint64_t duration_ms, struct err *e)
{
    enum rc rc = record_end(r, counts, exit_code, stopped, duration_ms, e);
    record_free(r);
    return rc;
}
