/* See keys.h. */
#include "controller/ssh/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/ssh/prompt.h"
#include "controller/ssh/ssh_key.h"

enum { TRIES = 3, MAX_PASSPHRASE = 1024 };

void keys_init(struct keys *k)
{
    memset(k, 0, sizeof *k);
}

static void fini_item(struct key_file *item)
{
    mem_free(item->path);
    sodium_free(item->text); /* wipes */
    sodium_free(item->passphrase);
    mem_free(item->blob);
    mem_free(item->agent_blob);
    mem_free(item->fault);
    memset(item, 0, sizeof *item);
}

void keys_fini(struct keys *k)
{
    for (size_t i = 0; i < k->count; i++)
        fini_item(&k->items[i]);
    k->count = 0;
    keys_fini_public(k);
}

void keys_wipe_private(struct keys *k)
{
    for (size_t i = 0; i < k->count; i++) {
        sodium_free(k->items[i].text);
        sodium_free(k->items[i].passphrase);
        k->items[i].text = k->items[i].passphrase = NULL;
    }
}

static const char *home(void)
{
    const char *dir = getenv("HOME");
    if (dir != NULL && *dir != '\0')
        return dir;
    const struct passwd *pw = getpwuid(getuid());
    return pw != NULL ? pw->pw_dir : NULL;
}

char *keys_expand_home(const char *path)
{
    const char *dir = str_starts(path, "~/") ? home() : NULL;
    if (dir == NULL)
        return mem_strdup(path);
    struct buf b;
    buf_init(&b, 65536);
    char *full = buf_printf(&b, "%s%s", dir, path + 1) == RC_OK ? buf_take(&b, NULL) : NULL;
    buf_fini(&b);
    return full;
}

/* ssh's rule: on a file of the user's own, nobody else may do anything; whoever owns it otherwise
 * is trusted to know what they do. */
static enum rc check_permissions(const struct stat *st, const char *path, struct err *e)
{
    if (S_ISDIR(st->st_mode))
        return err_set(e, RC_CONFIG, "%s: a folder, not a private key", path);
    if (st->st_uid == getuid() && (st->st_mode & 077) != 0)
        return err_set(e, RC_CONFIG,
                       "%s: others may read this private key (mode %04o); do: chmod 600 %s", path,
                       (unsigned)st->st_mode & 07777, path);
    return RC_OK;
}

static enum rc read_text(int fd, struct key_file *item, struct err *e)
{
    char *tmp = sodium_malloc(KEYS_MAX_FILE + 1);
    if (tmp == NULL)
        return err_nomem(e);
    enum rc rc = RC_OK;
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, tmp + len, KEYS_MAX_FILE + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(e, errno, "%s: read", item->path);
        if (n <= 0)
            break;
        len += (size_t)n;
        if (len > KEYS_MAX_FILE) {
            rc = err_set(e, RC_LIMIT, "%s: larger than %d KiB, no private key", item->path,
                         KEYS_MAX_FILE / 1024);
            break;
        }
    }
    /* A copy of the right size: locked memory is scarce (RLIMIT_MEMLOCK). */
    if (rc == RC_OK && (item->text = sodium_malloc(len + 1)) == NULL)
        rc = err_nomem(e);
    if (rc == RC_OK) {
        memcpy(item->text, tmp, len);
        item->text[len] = '\0';
        item->len = len;
    }
    sodium_free(tmp);
    return rc;
}

/* The cipher's name is the first field of an openssh-key-v1 file, within its first line. */
static bool openssh_is_encrypted(const char *body, bool *readable)
{
    static const char magic[] = "openssh-key-v1"; /* its NUL counts */
    unsigned char head[64];
    size_t n = 0;
    *readable = false;
    while (*body == '\r' || *body == '\n')
        body++;
    sodium_base642bin(head, sizeof head, body, strnlen(body, 64), "\r\n", &n, NULL,
                      sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    size_t at = sizeof magic;
    if (n < at + 4 || memcmp(head, magic, sizeof magic) != 0)
        return false;
    size_t len = (size_t)head[at] << 24 | (size_t)head[at + 1] << 16 | (size_t)head[at + 2] << 8 |
                 head[at + 3];
    *readable = len <= n - at - 4;
    return *readable && !(len == 4 && memcmp(head + at + 4, "none", 4) == 0);
}

static const char *what_it_is_instead(const char *text)
{
    if (str_starts(text, "PuTTY-User-Key-File-"))
        return "a PuTTY key; convert it: puttygen KEY -O private-openssh -o NEW";
    if (str_starts(text, "ssh-") || str_starts(text, "ecdsa-") || str_starts(text, "sk-") ||
        strstr(text, "BEGIN SSH2 PUBLIC KEY") != NULL || strstr(text, "BEGIN PUBLIC KEY") != NULL)
        return "a public key; name the private one (usually without .pub)";
    return "not a private key";
}

static enum rc look_at_header(struct key_file *item, struct err *e)
{
    static const char openssh[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    if (strlen(item->text) != item->len)
        return err_set(e, RC_CONFIG, "%s: not a private key", item->path);
    if (str_starts(item->text, openssh)) {
        bool readable;
        item->encrypted = openssh_is_encrypted(item->text + sizeof openssh - 1, &readable);
        return readable ? RC_OK : err_set(e, RC_CONFIG, "%s: damaged private key", item->path);
    }
    const char *begin = strstr(item->text, "-----BEGIN ");
    const char *private = begin ? strstr(begin, "PRIVATE KEY-----") : NULL;
    const char *line_end = begin ? strpbrk(begin, "\r\n") : NULL;
    if (private == NULL || line_end == NULL || private > line_end)
        return err_set(e, RC_CONFIG, "%s: %s", item->path, what_it_is_instead(item->text));
    item->encrypted = str_starts(begin, "-----BEGIN ENCRYPTED PRIVATE KEY-----") ||
                      strstr(begin, "Proc-Type: 4,ENCRYPTED") != NULL;
    return RC_OK;
}

static enum rc read_item(struct key_file *item, struct err *e)
{
    int fd = open(item->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, RC_NOTFOUND, "%s: no such file", item->path);
    if (fd < 0)
        return err_sys(e, errno, "%s: open", item->path);
    struct stat st = {0};
    enum rc rc = fstat(fd, &st) == 0 ? check_permissions(&st, item->path, e)
                                     : err_sys(e, errno, "%s: stat", item->path);
    item->dev = st.st_dev;
    item->ino = st.st_ino;
    if (rc == RC_OK)
        rc = read_text(fd, item, e);
    close(fd);
    return rc == RC_OK ? look_at_header(item, e) : rc;
}

static bool find(const struct keys *k, const struct key_file *item, unsigned *id)
{
    for (size_t i = 0; i < k->count; i++) {
        const struct key_file *f = &k->items[i];
        bool same = item->ino != 0
                        ? f->dev == item->dev && f->ino == item->ino
                        : f->base < 0 && item->blob_len > 0 && f->blob_len == item->blob_len &&
                              memcmp(f->blob, item->blob, item->blob_len) == 0;
        if (same) {
            *id = (unsigned)i;
            return true;
        }
    }
    return false;
}

/* The private part is missing, unreadable or was never meant (a .pub): is there a public key under
 * this name that the agent holds? Then that is as good, and what was read is dropped. */
static enum rc ask_agent(const struct keys *k, struct key_file *item, enum rc why)
{
    struct buf blob;
    char *path = mem_alloc(strlen(item->path) + 5);
    if (path == NULL)
        return RC_NOMEM;
    buf_init(&blob, 64 * 1024);
    snprintf(path, strlen(item->path) + 5, "%s.pub", item->path);
    enum rc rc = keys_read_public(item->path, &blob, NULL);
    if (rc != RC_OK && rc != RC_NOMEM)
        rc = keys_read_public(path, &blob, NULL);
    mem_free(path);
    bool has = rc == RC_OK && keys_in_agent(k, blob.data, blob.len);
    if (has && (item->blob = mem_memdup(blob.data, blob.len)) == NULL)
        rc = RC_NOMEM;
    item->blob_len = item->blob != NULL ? blob.len : 0;
    buf_fini(&blob);
    if (rc == RC_NOMEM || !has)
        return rc == RC_NOMEM ? rc : why;
    sodium_free(item->text);
    item->text = NULL;
    item->encrypted = false;
    item->dev = 0; /* what tells it from others is the key now, not the file */
    item->ino = 0;
    return RC_OK;
}

static enum rc add(struct keys *k, const char *path, bool optional, unsigned *id, struct err *e)
{
    if (sodium_init() < 0)
        return err_set(e, RC_CRYPTO, "libsodium does not start");
    struct key_file item = {
        .path = keys_expand_home(path), .optional = optional, .base = -1, .cert = -1};
    if (item.path == NULL)
        return err_nomem(e);
    enum rc rc = read_item(&item, e);
    if (rc != RC_OK && rc != RC_NOMEM && k->agent.count > 0 &&
        (rc = ask_agent(k, &item, rc)) == RC_NOMEM)
        err_nomem(e);
    if (rc == RC_OK && find(k, &item, id)) {
        k->items[*id].optional &= optional; /* once named, it is needed */
        fini_item(&item);
        return RC_OK;
    }
    unsigned number = 0;
    if (rc == RC_OK)
        rc = keys_append(k, &item, &number, e);
    if (rc != RC_OK) {
        fini_item(&item);
        return rc;
    }
    rc = keys_identify(k, number, e);
    if (rc == RC_OK)
        *id = number;
    return rc;
}

enum rc keys_append(struct keys *k, const struct key_file *item, unsigned *id, struct err *e)
{
    if (k->count >= KEYS_MAX)
        return err_set(e, RC_LIMIT, "%s: more than %d keys and certificates", item->path, KEYS_MAX);
    *id = (unsigned)k->count;
    k->items[k->count++] = *item;
    return RC_OK;
}

/* Hosts by the thousand name the same file: it is read once, not for each. */
static enum rc find_path(struct keys *k, const char *path, unsigned *id, bool *found)
{
    *found = false;
    char *full = k->count > 0 ? keys_expand_home(path) : NULL;
    if (full == NULL)
        return k->count > 0 ? RC_NOMEM : RC_OK;
    for (size_t i = 0; i < k->count && !*found; i++) {
        *found = k->items[i].base == -1 && strcmp(k->items[i].path, full) == 0;
        *id = (unsigned)i;
    }
    mem_free(full);
    if (*found)
        k->items[*id].optional = false;
    return RC_OK;
}

enum rc keys_add(struct keys *k, const char *path, unsigned *id, struct err *e)
{
    bool found;
    unsigned at = 0;
    if (find_path(k, path, &at, &found) != RC_OK)
        return err_nomem(e);
    if (found) {
        *id = at;
        return RC_OK;
    }
    return add(k, path, false, id, e);
}

enum rc keys_add_defaults(struct keys *k, struct err *e)
{
    static const char *const names[] = {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct err mine = {0};
        unsigned id;
        enum rc rc = add(k, names[i], true, &id, &mine);
        if (rc == RC_NOMEM || rc == RC_LIMIT) {
            if (e != NULL)
                *e = mine;
            return rc;
        }
        if (rc != RC_OK && rc != RC_NOTFOUND)
            log_warn("key left out: %s", mine.msg);
    }
    return RC_OK;
}

/* Asks up to three times. RC_CONFIG when none was right or the line was empty. */
static enum rc ask(struct key_file *item, char *answer, struct err *e)
{
    char text[1200];
    snprintf(text, sizeof text, "Passphrase for %.1024s: ", item->path);
    for (int i = 0; i < TRIES; i++) {
        enum rc rc = prompt_secret(text, answer, MAX_PASSPHRASE, e);
        if (rc == RC_LIMIT)
            continue; /* a wrong one */
        if (rc != RC_OK)
            return rc;
        if (*answer == '\0')
            return err_set(e, RC_CONFIG, "no passphrase given for %s", item->path);
        if (ssh_key_check(item->text, answer, NULL) == RC_OK)
            return RC_OK;
        snprintf(text, sizeof text, "Wrong passphrase. Passphrase for %.1024s: ", item->path);
    }
    return err_set(e, RC_CONFIG, "%d wrong passphrases for %s", TRIES, item->path);
}

static enum rc unlock(struct key_file *item, struct err *e)
{
    char *answer = sodium_malloc(MAX_PASSPHRASE);
    if (answer == NULL)
        return err_nomem(e);
    enum rc rc = ask(item, answer, e);
    if (rc == RC_OK) {
        item->passphrase = sodium_malloc(strlen(answer) + 1);
        if (item->passphrase != NULL)
            memcpy(item->passphrase, answer, strlen(answer) + 1);
        else
            rc = err_nomem(e);
    }
    sodium_free(answer);
    if (rc == RC_NOTFOUND)
        rc = err_set(e, RC_CONFIG,
                     "%s is encrypted and there is no terminal to ask for its passphrase; name a "
                     "key without one (--key), or run muster from a terminal",
                     item->path);
    return rc;
}

enum rc keys_unlock(struct keys *k, struct err *e)
{
    for (size_t i = 0; i < k->count; i++) {
        struct key_file *item = &k->items[i];
        struct err mine = {0};
        if (item->base >= 0 || keys_usable(k, (unsigned)i))
            continue;
        if (item->optional && k->agent.count > 0) {
            log_info("key left out: %s is encrypted, and the agent has other keys; name it with "
                     "--key, or ssh-add it",
                     item->path);
            continue;
        }
        enum rc rc = unlock(item, &mine);
        if (rc == RC_CONFIG && item->optional) {
            log_info("key left out: %s", mine.msg);
            continue;
        }
        if (rc != RC_OK) {
            if (e != NULL)
                *e = mine;
            return rc;
        }
    }
    return RC_OK;
}
