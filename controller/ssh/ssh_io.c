/* See ssh_io.h. Written against libssh 0.10.6-0+deb12u3; what each fence is for stands beside it.
 *
 * Never called here, because each of them blocks, spins, forks or reads files even in a
 * non-blocking session: ssh_disconnect, ssh_select, ssh_channel_select, the sftp_ and ssh_scp_
 * families, ssh_userauth_publickey_auto, the known_hosts functions.
 */
#include "controller/ssh/ssh_io_int.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libssh/server.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/ssh/offered.h"

/* Bytes from which on malloc gives a block a mapping of its own: glibc's own figure, which it would
 * otherwise move; and what may lie free at the heap's end. */
enum { MAPPED_FROM = 128 * 1024, HEAP_END_MAX = 1024 * 1024 };

_Thread_local struct sshio *sshio_current;

/* There is no call that tells the server's packet size, only a log line. */
static void note_max_packet(const char *text)
{
    static const char mark[] = "maxpacket : ";
    const char *at = strstr(text, "Remote window : ");
    at = at != NULL ? strstr(at, mark) : NULL;
    if (at == NULL)
        return;
    uint32_t n = 0;
    for (at += sizeof mark - 1; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (uint32_t)(*at - '0');
    sshio_current->max_packet = n < SSHIO_PACKET_UNKNOWN ? n : n - 1;
}

/* After these errors libssh closes the socket in the middle of a pass; if the pass then goes on to
 * write, "Socket error" takes the place of the reason, and a changed host key looks like a broken
 * connection. Each error is also logged when it is set. */
static void note_cause(const char *text)
{
    static const char *const causes[] = {
        "Received SSH_MSG_DISCONNECT: ", "kex error : ", "No version of SSH protocol"};
    for (size_t i = 0; i < sizeof causes / sizeof causes[0] && sshio_current->cause == NULL; i++) {
        const char *at = strstr(text, causes[i]);
        if (at != NULL)
            sshio_current->cause = mem_strdup(at);
    }
}

static void on_log(int priority, const char *function, const char *text, void *user)
{
    (void)function;
    (void)user;
    if (sshio_current == NULL)
        return;
    if (sshio_current->forwards != NULL)
        sshio_forward_note(sshio_current, text);
    if (priority == SSH_LOG_PROTOCOL)
        note_max_packet(text);
    else if (priority == SSH_LOG_WARN && strstr(text, "Invalid maximum packet size 0") != NULL)
        sshio_current->max_packet = 0; /* libssh drops the confirmation and goes on waiting */
    else if (priority == SSH_LOG_WARN)
        note_cause(text);
}

/* For connect_step: malloc cuts a block from the heap's end, where there is room, before it looks
 * at the size. So no room is made there ahead of need; nor is any given back in small pieces. */
static void set_up_malloc(void)
{
    mallopt(M_TOP_PAD, 0);
    mallopt(M_TRIM_THRESHOLD, HEAP_END_MAX);
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
}

void sshio_thread_init(void)
{
    set_up_malloc();
    ssh_init();
    /* Never log_function of ssh_callbacks_struct: it becomes the thread's callback with one
     * session as its user data and outlives that session. */
    ssh_set_log_callback(on_log);
    ssh_set_log_level(SSH_LOG_WARN);
}

/* Without a callback of ours OpenSSL would ask for the passphrase of a PEM key on the terminal. */
static int refuse_to_ask(const char *prompt, char *buf, size_t len, int echo, int verify,
                         void *user)
{
    (void)prompt;
    (void)buf;
    (void)len;
    (void)echo;
    (void)verify;
    (void)user;
    return -1;
}

enum rc sshio_key_new(struct sshio_key **out, const char *text, const char *passphrase,
                      struct err *e)
{
    struct sshio_key *k = mem_calloc(1, sizeof *k);
    if (k == NULL)
        return err_nomem(e);
    if (ssh_pki_import_privkey_base64(text, passphrase, refuse_to_ask, NULL, &k->private_key) !=
            SSH_OK ||
        ssh_pki_export_privkey_to_pubkey(k->private_key, &k->public_key) != SSH_OK) {
        sshio_key_free(k);
        return err_set(e, RC_CRYPTO, "cannot use the private key: %s",
                       passphrase != NULL ? "wrong passphrase, or a type that is not supported"
                                          : "it is encrypted, or of a type that is not supported");
    }
    *out = k;
    return RC_OK;
}

void sshio_key_free(struct sshio_key *k)
{
    if (k == NULL)
        return;
    ssh_key_free(k->private_key);
    ssh_key_free(k->public_key);
    mem_free(k->blob);
    mem_free(k);
}

/* Returning 1 lets libssh answer "no". Without a message callback a client queues every request of
 * the server, without bound. */
static int deny_message(ssh_session ssh, ssh_message message, void *user)
{
    (void)ssh;
    (void)message;
    struct sshio *io = user;
    io->seen.messages++;
    return 1;
}

/* Always takes everything: if less is taken libssh calls again only when more arrives, and EOF may
 * overtake what is left. */
static int on_data(ssh_session ssh, ssh_channel channel, void *p, uint32_t n, int is_stderr,
                   void *user)
{
    (void)ssh;
    (void)channel;
    struct sshio *io = user;
    if (!io->seen.closed)
        io->data(io->user, is_stderr != 0, p, n);
    return (int)n;
}

static void on_eof(ssh_session ssh, ssh_channel channel, void *user)
{
    (void)ssh;
    (void)channel;
    struct sshio *io = user;
    io->seen.eof = true;
}

static void on_close(ssh_session ssh, ssh_channel channel, void *user)
{
    (void)ssh;
    (void)channel;
    struct sshio *io = user;
    io->seen.closed = true;
}

static void on_exit_status(ssh_session ssh, ssh_channel channel, int status, void *user)
{
    (void)ssh;
    (void)channel;
    struct sshio *io = user;
    if (io->seen.exited || io->seen.closed) /* a command ends once */
        return;
    io->seen.exited = true;
    io->seen.exit_status = (uint32_t)status;
}

static void on_exit_signal(ssh_session ssh, ssh_channel channel, const char *name, int core,
                           const char *text, const char *lang, void *user)
{
    (void)ssh;
    (void)channel;
    (void)core;
    (void)text;
    (void)lang;
    struct sshio *io = user;
    if (io->seen.signaled || io->seen.closed)
        return;
    io->seen.signaled = true;
    str_escape_to(io->seen.signal, sizeof io->seen.signal, name, strlen(name), 0);
}

/* The types on record, as signature algorithms; types that libssh cannot verify are left out. */
static void hostkey_algorithms(char *dst, size_t cap, const char *types, bool legacy)
{
    size_t len = 0;
    dst[0] = '\0';
    while (*types != '\0') {
        size_t n = strcspn(types, ",");
        char type[64];
        snprintf(type, sizeof type, "%.*s", (int)(n < 63 ? n : 63), types);
        types += n + (types[n] == ',');
        const char *add = NULL;
        if (strcmp(type, "ssh-rsa") == 0)
            add = legacy ? "rsa-sha2-512,rsa-sha2-256,ssh-rsa" : "rsa-sha2-512,rsa-sha2-256";
        else if (strcmp(type, "ssh-ed25519") == 0 || str_starts(type, "ecdsa-sha2-nistp"))
            add = type;
        if (add != NULL && len + strlen(add) + 2 < cap)
            len += (size_t)snprintf(dst + len, cap - len, "%s%s", len > 0 ? "," : "", add);
    }
    if (len == 0)
        snprintf(dst, cap, "%s%s", HOSTKEYS_MODERN, legacy ? ",ssh-rsa" : "");
}

static bool set_algorithms(ssh_session ssh, const struct sshio_spec *spec)
{
    const bool old = spec->legacy;
    const char *kex = old ? KEX_MODERN "," KEX_OLD : KEX_MODERN;
    const char *ciphers = old ? CIPHERS_MODERN "," CIPHERS_OLD : CIPHERS_MODERN;
    const char *macs = old ? MACS_MODERN "," MACS_OLD : MACS_MODERN;
    char hostkeys[512];
    hostkey_algorithms(hostkeys, sizeof hostkeys, spec->hostkey_types, old);
    return ssh_options_set(ssh, SSH_OPTIONS_KEY_EXCHANGE, kex) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_CIPHERS_C_S, ciphers) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_CIPHERS_S_C, ciphers) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_HMAC_C_S, macs) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_HMAC_S_C, macs) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_HOSTKEYS, hostkeys) == 0 &&
           (!old || ssh_options_set(ssh, SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES,
                                    CERTS_MODERN HOSTKEYS_MODERN ",ssh-rsa") == 0);
}

/* Nothing of these may touch a file or a name service: ssh_config is not read (it can run
 * programs), known_hosts would be scanned per session and per rekey, a missing user or folder
 * would ask NSS, a tilde would too. The user is a harmless word: libssh refuses names such as
 * DOMAIN\user here, and takes the real one with each login call. The host is for messages only, and
 * an IPv6 address or an underscore would be refused. */
static bool set_options(ssh_session ssh, const struct sshio_spec *spec)
{
    bool no = false;
    socket_t fd = spec->fd;
    ssh_set_blocking(ssh, 0);
    return ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_SSH_DIR, "/nonexistent") == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_HOST, "target") == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_USER, "muster") == 0 && set_algorithms(ssh, spec) &&
           ssh_options_set(ssh, SSH_OPTIONS_FD, &fd) == 0;
}

static void set_callbacks(struct sshio *io)
{
    ssh_set_message_callback(io->ssh, deny_message, io);
    ssh_set_counters(io->ssh, &io->counter, NULL);
    io->callbacks.userdata = io;
    io->callbacks.channel_data_function = on_data;
    io->callbacks.channel_eof_function = on_eof;
    io->callbacks.channel_close_function = on_close;
    io->callbacks.channel_exit_status_function = on_exit_status;
    io->callbacks.channel_exit_signal_function = on_exit_signal;
    ssh_callbacks_init(&io->callbacks);
}

enum rc sshio_new(struct sshio **out, const struct sshio_spec *spec, struct err *e)
{
    if (spec->fd > SSHIO_MAX_FD)
        return err_set(e, RC_LIMIT, "descriptor %d is above what libssh can hold", spec->fd);
    struct sshio *io = mem_calloc(1, sizeof *io);
    if (io == NULL)
        return err_nomem(e);
    io->fd = spec->fd;
    io->max_packet = SSHIO_PACKET_UNKNOWN;
    io->data = spec->data;
    io->user = spec->user;
    io->ssh = ssh_new();
    if (io->ssh == NULL) {
        mem_free(io);
        return err_nomem(e);
    }
    if (!set_options(io->ssh, spec)) {
        err_set(e, RC_INTERNAL, "libssh refuses an option: %s", ssh_get_error(io->ssh));
        ssh_free(io->ssh); /* closes only a descriptor that a connect took */
        mem_free(io);
        return RC_INTERNAL;
    }
    set_callbacks(io);
    *out = io;
    return RC_OK;
}

void sshio_free(struct sshio *io)
{
    if (io == NULL)
        return;
    must(io->forwards == NULL);
    /* libssh 0.10.6 does not detach callbacks of a freed channel. ssh_disconnect is never called:
     * after it nobody can tell whether the descriptor was closed. */
    if (io->channel != NULL)
        ssh_remove_channel_callbacks(io->channel, &io->callbacks);
    ssh_free(io->ssh);
    if (!io->given)
        close(io->fd);
    mem_free(io->cause);
    mem_free(io);
}

bool sshio_gone(const struct sshio *io)
{
    return ssh_get_fd(io->ssh) != io->fd ||
           (ssh_get_status(io->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0;
}

/* libssh sets the socket *blocking* when the connection comes up, just before it sends its
 * banner: one slow host would then hold up the whole loop. */
static void restore_nonblock(struct sshio *io)
{
    if (io->nonblocking || ssh_get_clientbanner(io->ssh) == NULL || sshio_gone(io))
        return;
    int flags = fcntl(io->fd, F_GETFL);
    io->nonblocking = flags >= 0 && fcntl(io->fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* libssh makes room for two reads when the first bytes come and keeps it: 8 KB a session, of which
 * one that hears little only ever touches the beginning. In a mapping of its own, the pages that
 * were not touched are not there. The kernel joins such mappings: they stay few. */
static int connect_step(struct sshio *io)
{
    bool first = ssh_get_serverbanner(io->ssh) == NULL;
    if (first)
        mallopt(M_MMAP_THRESHOLD, 2 * SSHIO_READ);
    int rc = ssh_connect(io->ssh);
    if (first)
        mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
    return rc;
}

enum sshio_step sshio_handshake(struct sshio *io)
{
    sshio_current = io;
    int rc = connect_step(io);
    sshio_current = NULL;
    if (!io->given)
        io->given = rc != SSH_ERROR || ssh_get_fd(io->ssh) == io->fd ||
                    (ssh_get_status(io->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0;
    restore_nonblock(io);
    if (sshio_gone(io) || rc == SSH_ERROR)
        return SSHIO_DEAD;
    return rc == SSH_OK ? SSHIO_OK : SSHIO_AGAIN;
}

const char *sshio_server_banner(const struct sshio *io)
{
    return ssh_get_serverbanner(io->ssh);
}

enum rc sshio_host_key(struct sshio *io, struct buf *blob, struct err *e)
{
    ssh_key key = NULL;
    char *text = NULL;
    enum rc rc = RC_CRYPTO;
    if (ssh_get_server_publickey(io->ssh, &key) == SSH_OK &&
        ssh_pki_export_pubkey_base64(key, &text) == SSH_OK)
        rc = str_unbase64(blob, text, strlen(text));
    ssh_string_free_char(text);
    ssh_key_free(key);
    return rc == RC_OK ? RC_OK : err_set(e, rc, "cannot read the server's host key");
}

enum sshio_step sshio_settle(const struct sshio *io, int rc)
{
    if (sshio_gone(io))
        return SSHIO_DEAD;
    return rc == SSH_OK ? SSHIO_OK : rc == SSH_AGAIN ? SSHIO_AGAIN : SSHIO_DENIED;
}

/* Explicitly, before any login call: libssh picks the signature of an RSA key before it has read
 * the server's EXT_INFO, and would fall back to SHA-1; with the service accepted it has read it. */
enum sshio_step sshio_service(struct sshio *io)
{
    sshio_current = io;
    int rc = ssh_service_request(io->ssh, "ssh-userauth");
    sshio_current = NULL;
    return sshio_settle(io, rc);
}

/* A server that allows packets of a few bytes makes libssh loop or send one packet per byte. The
 * size is told only in a log line, so the level goes up for this one kind of call. */
enum sshio_step sshio_open(struct sshio *io)
{
    if (io->channel == NULL) {
        io->channel = ssh_channel_new(io->ssh);
        if (io->channel == NULL)
            return SSHIO_DEAD;
        ssh_set_channel_callbacks(io->channel, &io->callbacks);
    }
    sshio_current = io;
    ssh_set_log_level(SSH_LOG_PROTOCOL);
    int rc = ssh_channel_open_session(io->channel);
    ssh_set_log_level(SSH_LOG_WARN);
    sshio_current = NULL;
    return sshio_settle(io, rc);
}

uint32_t sshio_max_packet(const struct sshio *io)
{
    return io->max_packet;
}

enum sshio_step sshio_exec(struct sshio *io, const char *command)
{
    sshio_current = io;
    int rc = ssh_channel_request_exec(io->channel, command);
    sshio_current = NULL;
    return sshio_settle(io, rc);
}

/* ssh_execute_message_callbacks always makes one pass over the socket; the calls that look made
 * for it (ssh_channel_poll, ssh_blocking_flush) do not when a stream has ended or nothing is
 * buffered, and the session would sleep for ever. */
enum sshio_step sshio_pump(struct sshio *io)
{
    sshio_current = io;
    ssh_execute_message_callbacks(io->ssh);
    sshio_current = NULL;
    return sshio_gone(io) ? SSHIO_DEAD : SSHIO_OK;
}

/* Small writes only, and never on top of bytes that wait: libssh's socket buffer grows to the
 * largest write and never shrinks, and at window 0 the call would pump from in here. */
enum sshio_step sshio_write(struct sshio *io, const void *p, size_t n, size_t *done)
{
    *done = 0;
    size_t window = ssh_channel_window_size(io->channel);
    size_t most = n < SSHIO_WRITE ? n : SSHIO_WRITE;
    most = most < window ? most : window;
    if (most == 0 || sshio_wants_write(io))
        return SSHIO_OK;
    if (!ssh_channel_is_open(io->channel))
        return SSHIO_DENIED;
    sshio_current = io;
    int rc = ssh_channel_write(io->channel, p, (uint32_t)most);
    sshio_current = NULL;
    if (sshio_gone(io))
        return SSHIO_DEAD;
    if (rc < 0)
        return SSHIO_DENIED;
    *done = (size_t)rc; /* less, or 0, while keys are exchanged anew */
    return SSHIO_OK;
}

/* AGAIN only says that the packet is still in the socket buffer: the pump sends it. */
static enum sshio_step settle_sent(const struct sshio *io, int rc)
{
    enum sshio_step step = sshio_settle(io, rc);
    return step == SSHIO_AGAIN ? SSHIO_OK : step;
}

enum sshio_step sshio_send_eof(struct sshio *io)
{
    if (!ssh_channel_is_open(io->channel))
        return SSHIO_DENIED;
    sshio_current = io;
    int rc = ssh_channel_send_eof(io->channel);
    sshio_current = NULL;
    return settle_sent(io, rc);
}

enum sshio_step sshio_send_signal(struct sshio *io, const char *name)
{
    if (!ssh_channel_is_open(io->channel))
        return SSHIO_DENIED;
    sshio_current = io;
    int rc = ssh_channel_request_send_signal(io->channel, name);
    sshio_current = NULL;
    return settle_sent(io, rc);
}

/* AGAIN means that EOF did not go out and CLOSE was not even queued. */
enum sshio_step sshio_close_channel(struct sshio *io)
{
    sshio_current = io;
    int rc = ssh_channel_close(io->channel);
    sshio_current = NULL;
    return sshio_settle(io, rc);
}

/* The callbacks first: libssh 0.10.6 does not detach those of a channel that it frees, and keeps
 * the channel for as long as the server has not closed it. */
void sshio_drop_channel(struct sshio *io)
{
    if (io->channel != NULL) {
        ssh_remove_channel_callbacks(io->channel, &io->callbacks);
        ssh_channel_free(io->channel);
    }
    io->channel = NULL;
    io->max_packet = SSHIO_PACKET_UNKNOWN;
    memset(&io->seen, 0, sizeof io->seen);
}

/* Bytes really buffered. ssh_get_poll_flags asks for POLLOUT after every send, which would cost a
 * spurious wake-up and two epoll_ctl calls each time. */
bool sshio_wants_write(const struct sshio *io)
{
    return (ssh_get_status(io->ssh) & SSH_WRITE_PENDING) != 0;
}

uint64_t sshio_bytes_in(const struct sshio *io)
{
    return io->counter.in_bytes;
}

const struct sshio_seen *sshio_seen(const struct sshio *io)
{
    return &io->seen;
}

const char *sshio_error(const struct sshio *io)
{
    if (io->cause != NULL)
        return io->cause;
    const char *text = ssh_get_error(io->ssh);
    return text != NULL ? text : "";
}
