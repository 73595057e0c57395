/* See become_root.h. */
#include "agent/become_root.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/str.h"
#include "proto/agent.h"

enum { MARK = 036, HEX_DIGEST = 64, CHUNK = 32 * 1024, FEEDS = 8, LIST = 64 };

/* $D, $N, $S and $O stand in front of it: digest, nonce, size, further options. No user may write
 * to any folder on the way to $d; -O and the mode say that $d itself is root's alone. */
static const char SCRIPT[] =
    "u=$(umask); umask 077; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH; "
    "say() { printf \"\\036%s\\n\" \"$1\" >&2; }; "
    "[ \"$(id -u)\" = 0 ] || { say not-root; exit 1; }; "
    "if command -v sha256sum >/dev/null 2>&1; then sum() { sha256sum; }; "
    "elif command -v shasum >/dev/null 2>&1; then sum() { shasum -a 256; }; "
    "elif command -v openssl >/dev/null 2>&1; then sum() { openssl dgst -sha256 -r; }; "
    "elif busybox sha256sum </dev/null >/dev/null 2>&1; then sum() { busybox sha256sum; }; "
    "else say no-digest; exit 1; fi; "
    "good() { h=$(sum <\"$1\" 2>/dev/null) && [ \"${h%% *}\" = \"$D\" ]; }; "
    "run() { umask \"$u\"; say ready; exec \"$1\" --nonce \"$N\" --expect \"$D\" $O; }; "
    "for d in /var/lib/muster /var/cache/muster /run/muster; do "
    "mkdir -m 700 \"$d\" 2>/dev/null; "
    "[ -d \"$d\" ] && [ ! -L \"$d\" ] && [ -O \"$d\" ] || continue; "
    "case $(ls -ld \"$d\") in drwx------*) ;; *) continue ;; esac; "
    "f=$d/muster-agent-$D; t=$d/.new.$$; "
    "if [ -f \"$f\" ] && [ ! -L \"$f\" ] && [ -x \"$f\" ] && good \"$f\"; then run \"$f\"; fi; "
    "printf \"#!/bin/sh\\n\" 2>/dev/null >\"$t\" && chmod 700 \"$t\" && \"$t\" 2>/dev/null || "
    "{ rm -f \"$t\"; continue; }; "
    "say want; head -c \"$S\" >\"$t\" || { rm -f \"$t\"; say no-place; exit 1; }; "
    "good \"$t\" || { rm -f \"$t\"; say changed; exit 1; }; "
    "mv -f \"$t\" \"$f\" && { find \"$d\" -type f \\( -name \"muster-agent-*\" -o -name "
    "\".new.*\" \\) -mtime +30 -exec rm -f {} + 2>/dev/null; run \"$f\"; }; "
    "rm -f \"$t\"; done; say no-place; exit 1";

static bool is_hex(const char *s, size_t n)
{
    return strspn(s, "0123456789abcdef") == n && s[n] == '\0';
}

static enum rc read_members(const struct wire_map *m, char digest[HEX_DIGEST + 1],
                            char nonce[AGENT_NONCE_HEX + 1], char options[LIST], struct err *e)
{
    uint64_t idle_ms = 0;
    char allow[24] = "";
    if (wire_str_to(m, "digest", digest, HEX_DIGEST + 1) != RC_OK || !is_hex(digest, HEX_DIGEST) ||
        wire_str_to(m, "nonce", nonce, AGENT_NONCE_HEX + 1) != RC_OK ||
        !is_hex(nonce, AGENT_NONCE_HEX))
        return err_set(e, RC_PROTO, "become: digest and nonce are hex digits, 64 and 32 of them");
    if (wire_u64(m, "idle_ms", EXEC_MAX_MS, &idle_ms) == RC_PROTO ||
        wire_str_to(m, "allow", allow, sizeof allow) == RC_PROTO ||
        strspn(allow, "abcdefghijklmnopqrstuvwxyz,") != strlen(allow))
        return err_set(e, RC_PROTO, "become: idle_ms is a time, allow a list of words");
    size_t n = 0;
    options[0] = '\0';
    if (idle_ms > 0)
        n = (size_t)snprintf(options, LIST, " --idle-ms %" PRIu64, idle_ms);
    if (allow[0] != '\0')
        (void)snprintf(options + n, LIST - n, " --allow %s", allow);
    return RC_OK;
}

static enum rc open_self(struct become_root *root, struct err *e)
{
    struct stat st;
    *root = (struct become_root){.exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
    if (root->exe >= 0 && fstat(root->exe, &st) == 0) {
        root->left = (uint64_t)st.st_size;
        return RC_OK;
    }
    int sys = errno;
    become_root_fini(root);
    return err_sys(e, sys, "our own file");
}

/* An exec request as if it had come from the controller: the same checks see it. */
static enum rc build(struct buf *b, const struct wire_map *m, const char *text, struct err *e)
{
    struct wire_map become;
    struct wire_out w;
    char user[EXEC_MAX_USER + 1] = "root";
    bool password = false;
    if (wire_map(m, "become", &become) != RC_OK ||
        wire_str_to(&become, "user", user, sizeof user) == RC_PROTO ||
        wire_bool(&become, "password", &password) == RC_PROTO)
        return err_set(e, RC_PROTO, "become: become is not a user and a bool password");
    wire_out_init(&w, b);
    wire_put_map(&w, 4);
    wire_put_bin(&w, "shell", text, strlen(text));
    /* That agent ends at the end of its input, and what it detached is not to be ended with it. */
    wire_put_str(&w, "on_disconnect", "continue");
    wire_put_bool(&w, "stdin", true);
    wire_add_key(&w, "become");
    wire_add_map(&w, 2);
    wire_put_str(&w, "user", user);
    wire_put_bool(&w, "password", password);
    return wire_out_end(&w) == RC_OK ? RC_OK : err_nomem(e);
}

static enum rc read_built(struct exec_request *r, const struct buf *b, char *const *base,
                          struct err *e)
{
    struct wire_map made;
    enum rc rc = wire_open(&made, b->data, b->len, e);
    if (rc != RC_OK)
        return rc;
    rc = exec_request_read(r, &made, base, e);
    wire_close(&made);
    return rc;
}

enum rc become_root_read(struct become_root *root, struct exec_request *r, const struct wire_map *m,
                         char *const *base, struct err *e)
{
    char digest[HEX_DIGEST + 1], nonce[AGENT_NONCE_HEX + 1], options[LIST];
    char text[sizeof SCRIPT + 256];
    struct buf b;
    enum rc rc = read_members(m, digest, nonce, options, e);
    if (rc == RC_OK)
        rc = open_self(root, e);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(text, sizeof text, "D=%s; N=%s; S=%" PRIu64 "; O=\"%s\"; %s", digest, nonce,
                   root->left, options, SCRIPT);
    buf_init(&b, 2 * sizeof text);
    rc = build(&b, m, text, e);
    if (rc == RC_OK)
        rc = read_built(r, &b, base, e);
    buf_fini(&b);
    if (rc != RC_OK)
        become_root_fini(root);
    return rc;
}

void become_root_fini(struct become_root *root)
{
    if (root->exe >= 0)
        close(root->exe);
    root->exe = -1;
}

static void take_line(struct become_root *root)
{
    static const struct {
        const char *line, *problem;
        enum become_root_state state;
    } LINES[] = {
        {"\036want", NULL, ROOT_FEEDING},
        {"\036ready", NULL, ROOT_READY},
        {"\036no-digest", "become-no-digest", ROOT_FAILED},
        {"\036changed", "become-changed", ROOT_FAILED},
        {"\036no-place", "become-no-place", ROOT_FAILED},
        {"\036not-root", "become-denied", ROOT_FAILED},
    };
    root->line[root->n_line] = '\0';
    for (unsigned i = 0; i < sizeof LINES / sizeof *LINES; i++)
        if (strcmp(root->line, LINES[i].line) == 0) {
            root->state = LINES[i].state;
            root->problem = LINES[i].problem;
        }
    root->n_line = 0;
}

/* Byte by byte: what comes after `ready` is the agent's. */
bool become_root_hear(struct become_root *root, int fd)
{
    char c;
    ssize_t n = 1;
    while (root->state < ROOT_READY && (n = read(fd, &c, 1)) == 1) {
        if (c == '\n')
            take_line(root);
        else if (root->n_line + 1 < sizeof root->line)
            root->line[root->n_line++] = c;
    }
    return n != 0;
}

enum rc become_root_feed(struct become_root *root, int fd)
{
    uint8_t chunk[CHUNK];
    for (unsigned i = 0; i < FEEDS && root->left > 0; i++) {
        ssize_t n = read(root->exe, chunk, root->left < CHUNK ? (size_t)root->left : CHUNK);
        if (n <= 0)
            return RC_SYS;
        ssize_t went = write(fd, chunk, (size_t)n);
        if (went < n && lseek(root->exe, (went < 0 ? 0 : went) - n, SEEK_CUR) < 0)
            return RC_SYS;
        if (went < 0)
            return errno == EAGAIN || errno == EINTR ? RC_OK : RC_SYS;
        root->left -= (uint64_t)went;
    }
    return RC_OK;
}
