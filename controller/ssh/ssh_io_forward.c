/* See ssh_io_forward.h. */
#include "controller/ssh/ssh_io_forward.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/ssh/ssh_io_int.h"

struct sshio_forward {
    struct sshio *io;
    ssh_channel channel;
    unsigned long number; /* libssh's, as its log lines name it; 0 when not told */
    struct ssh_channel_callbacks_struct callbacks;
    struct sshio_forward_seen seen;
    sshio_forward_data data;
    void *user;
    struct sshio_forward *prev, *next; /* of the session */
};

static int on_data(ssh_session ssh, ssh_channel channel, void *p, uint32_t n, int is_stderr,
                   void *user)
{
    (void)ssh;
    (void)channel;
    struct sshio_forward *f = user;
    return is_stderr != 0 ? (int)n : (int)f->data(f->user, p, n); /* no such stream: dropped */
}

static void on_eof(ssh_session ssh, ssh_channel channel, void *user)
{
    (void)ssh;
    (void)channel;
    ((struct sshio_forward *)user)->seen.eof = true;
}

static void on_close(ssh_session ssh, ssh_channel channel, void *user)
{
    (void)ssh;
    (void)channel;
    ((struct sshio_forward *)user)->seen.closed = true;
}

/* libssh keeps the reason of a refusal in one place for the whole session, where the next refusal
 * takes its room, and tells nobody which channel it was about; its log does. */
static void note_refused(struct sshio *io, const char *at)
{
    char *end;
    unsigned long number = strtoul(at, &end, 10);
    struct sshio_forward *f = io->forwards;
    while (f != NULL && (f->number != number || f->seen.open))
        f = f->next;
    if (f == NULL)
        return;
    static const char mark[] = " error (";
    f->seen.refused = true;
    if (strncmp(end, mark, sizeof mark - 1) != 0)
        return;
    f->seen.code = (uint32_t)strtoul(end + sizeof mark - 1, &end, 10);
    const char *why = *end == ')' ? end + 1 : end;
    why += *why == ' ';
    str_escape_to(f->seen.reason, sizeof f->seen.reason, why, strlen(why), 0);
}

void sshio_forward_note(struct sshio *io, const char *text)
{
    static const char created[] = "Creating a channel ", refused[] = "opening failure: channel ";
    const char *at = strstr(text, refused);
    if (at != NULL) {
        note_refused(io, at + sizeof refused - 1);
        return;
    }
    at = strstr(text, created);
    if (at != NULL && io->forwards != NULL && io->forwards->number == 0)
        io->forwards->number = strtoul(at + sizeof created - 1, NULL, 10);
}

static void list_add(struct sshio_forward *f)
{
    f->next = f->io->forwards;
    if (f->next != NULL)
        f->next->prev = f;
    f->io->forwards = f;
}

static void list_remove(struct sshio_forward *f)
{
    if (f->prev != NULL)
        f->prev->next = f->next;
    else
        f->io->forwards = f->next;
    if (f->next != NULL)
        f->next->prev = f->prev;
}

static void set_callbacks(struct sshio_forward *f)
{
    f->callbacks.userdata = f;
    f->callbacks.channel_data_function = on_data;
    f->callbacks.channel_eof_function = on_eof;
    f->callbacks.channel_close_function = on_close;
    ssh_callbacks_init(&f->callbacks);
    ssh_set_channel_callbacks(f->channel, &f->callbacks);
}

/* The level goes up for this one call: only the log tells the number of the channel. */
enum rc sshio_forward_new(struct sshio_forward **out, struct sshio *io, const char *host,
                          uint16_t port, sshio_forward_data data, void *user, struct err *e)
{
    struct sshio_forward *f = mem_calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(e);
    f->io = io;
    f->data = data;
    f->user = user;
    f->channel = ssh_channel_new(io->ssh);
    if (f->channel == NULL) {
        mem_free(f);
        return err_nomem(e);
    }
    set_callbacks(f);
    list_add(f);
    sshio_current = io;
    ssh_set_log_level(SSH_LOG_PROTOCOL);
    int rc = ssh_channel_open_forward(f->channel, host, port, "127.0.0.1", 0);
    ssh_set_log_level(SSH_LOG_WARN);
    sshio_current = NULL;
    if (rc == SSH_ERROR && !f->seen.refused) {
        err_set(e, RC_SYS, "%s", ssh_get_error(io->ssh));
        sshio_forward_free(f);
        return RC_SYS;
    }
    *out = f;
    return RC_OK;
}

void sshio_forward_free(struct sshio_forward *f)
{
    if (f == NULL)
        return;
    ssh_remove_channel_callbacks(f->channel, &f->callbacks);
    ssh_channel_free(f->channel);
    list_remove(f);
    mem_free(f);
}

const struct sshio_forward_seen *sshio_forward_seen(struct sshio_forward *f)
{
    if (!f->seen.open)
        f->seen.open = ssh_channel_is_open(f->channel) != 0;
    return &f->seen;
}

enum sshio_step sshio_forward_write(struct sshio_forward *f, const void *p, size_t n, size_t *done)
{
    *done = 0;
    size_t window = ssh_channel_window_size(f->channel);
    size_t most = n < SSHIO_WRITE ? n : SSHIO_WRITE;
    most = most < window ? most : window;
    if (!ssh_channel_is_open(f->channel))
        return sshio_gone(f->io) ? SSHIO_DEAD : SSHIO_DENIED;
    if (most == 0 || sshio_wants_write(f->io))
        return SSHIO_OK;
    sshio_current = f->io;
    int rc = ssh_channel_write(f->channel, p, (uint32_t)most);
    sshio_current = NULL;
    if (sshio_gone(f->io))
        return SSHIO_DEAD;
    if (rc < 0)
        return SSHIO_DENIED;
    *done = (size_t)rc;
    return SSHIO_OK;
}

size_t sshio_forward_read(struct sshio_forward *f, void *p, size_t n)
{
    sshio_current = f->io;
    int rc = ssh_channel_read_nonblocking(f->channel, p, (uint32_t)n, 0);
    sshio_current = NULL;
    return rc > 0 ? (size_t)rc : 0;
}

enum sshio_step sshio_forward_close(struct sshio_forward *f)
{
    sshio_current = f->io;
    int rc = ssh_channel_close(f->channel);
    sshio_current = NULL;
    enum sshio_step step = sshio_settle(f->io, rc);
    return step == SSHIO_DENIED ? SSHIO_OK : step; /* closed already */
}

bool sshio_over(const struct sshio *io)
{
    return sshio_gone(io);
}
