/* Builds the index of hostkeys.h: reads files, keeps each distinct key once, files every line under
 * what it can be found by. Does not answer questions (hostkeys.c) nor write (add.c). Coordinator,
 * not on the loop: reading a large file takes tens of milliseconds. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "controller/hostkeys/index.h"

enum { TAIL_BYTES = 4096 };

enum rc hostkeys_new(struct hostkeys **out, struct err *e)
{
    struct hostkeys *hk = mem_calloc(1, sizeof *hk);
    if (hk == NULL)
        return err_nomem(e);
    arena_init(&hk->arena);
    map_init(&hk->key_by_blob);
    map_init(&hk->name_by_text);
    hk->now = clock_wall_us() / 1000000;
    *out = hk;
    return RC_OK;
}

void hostkeys_set_now(struct hostkeys *hk, int64_t now_s)
{
    hk->now = now_s;
}

void hostkeys_free(struct hostkeys *hk)
{
    if (hk == NULL)
        return;
    map_fini(&hk->key_by_blob);
    map_fini(&hk->name_by_text);
    mem_free(hk->files);
    mem_free(hk->lines);
    mem_free(hk->keys);
    mem_free(hk->names);
    mem_free(hk->patterns);
    mem_free(hk->hashed);
    mem_free(hk->hashed_owner);
    mem_free(hk->ca);
    mem_free(hk->expired);
    arena_fini(&hk->arena);
    mem_free(hk);
}

size_t hostkeys_count(const struct hostkeys *hk)
{
    return hk->lines_len;
}

size_t hostkeys_skipped(const struct hostkeys *hk)
{
    return hk->skipped;
}

static void list_init(struct index_list *list)
{
    list->first = list->last = INDEX_NONE;
}

static void list_append(struct hostkeys *hk, struct index_list *list, uint32_t line)
{
    if (list->first == INDEX_NONE)
        list->first = line;
    else
        hk->lines[list->last].next = line;
    list->last = line;
}

static int add_key(struct hostkeys *hk, const struct buf *blob, enum line_type type, uint32_t *out)
{
    uintptr_t found = (uintptr_t)map_get(&hk->key_by_blob, (const char *)blob->data, blob->len);
    if (found != 0) {
        *out = (uint32_t)(found - 1);
        return 0;
    }
    char *copy = arena_alloc(&hk->arena, blob->len);
    if (copy == NULL || mem_grow(&hk->keys, &hk->keys_cap, hk->keys_len + 1, sizeof *hk->keys) != 0)
        return -1;
    memcpy(copy, blob->data, blob->len);
    struct index_key *key = &hk->keys[hk->keys_len];
    *key = (struct index_key){
        .blob = (const uint8_t *)copy, .len = (uint32_t)blob->len, .type = (uint8_t)type};
    list_init(&key->patterns);
    list_init(&key->hashed);
    list_init(&key->revoked);
    atomic_init(&key->hashed_resume, INDEX_NONE);
    if (map_put(&hk->key_by_blob, copy, blob->len, (void *)(uintptr_t)(hk->keys_len + 1), NULL) !=
        0)
        return -1;
    *out = (uint32_t)hk->keys_len++;
    return 0;
}

static char *lower_copy(struct hostkeys *hk, const char *text, size_t len)
{
    char *copy = arena_strndup(&hk->arena, text, len);
    for (size_t i = 0; copy != NULL && i < len; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] - 'A' + 'a');
    return copy;
}

static int add_name(struct hostkeys *hk, uint32_t line, char *name, size_t len)
{
    if (mem_grow(&hk->names, &hk->names_cap, hk->names_len + 1, sizeof *hk->names) != 0)
        return -1;
    void *older = NULL;
    if (map_put(&hk->name_by_text, name, len, (void *)(uintptr_t)(hk->names_len + 1), &older) != 0)
        return -1;
    hk->names[hk->names_len++] = (struct index_name){
        .line = line, .next = older ? (uint32_t)((uintptr_t)older - 1) : INDEX_NONE};
    return 0;
}

static int add_plain(struct hostkeys *hk, uint32_t line, const struct line_parts *parts)
{
    char *names = lower_copy(hk, parts->hosts, parts->hosts_len);
    if (names == NULL)
        return -1;
    for (size_t at = 0; at < parts->hosts_len;) {
        size_t n = strcspn(names + at, ",");
        if (n > 0 && add_name(hk, line, names + at, n) != 0)
            return -1;
        at += n + 1;
    }
    return 0;
}

static int add_patterns(struct hostkeys *hk, uint32_t line, const struct line_parts *parts)
{
    const char *text = lower_copy(hk, parts->hosts, parts->hosts_len);
    if (text == NULL ||
        mem_grow(&hk->patterns, &hk->patterns_cap, hk->patterns_len + 1, sizeof *hk->patterns) != 0)
        return -1;
    hk->lines[line].ref = (uint32_t)hk->patterns_len;
    hk->patterns[hk->patterns_len++] = (struct index_pattern){
        text, (uint32_t)parts->hosts_len, parts->marker == LINE_PLAIN ? line : INDEX_NONE};
    return 0;
}

static int add_hashed(struct hostkeys *hk, uint32_t line, const struct line_parts *parts)
{
    if (mem_grow(&hk->hashed, &hk->hashed_cap, hk->hashed_len + 1, sizeof *hk->hashed) != 0 ||
        mem_grow(&hk->hashed_owner, &hk->owner_cap, hk->hashed_len + 1, sizeof(uint32_t)) != 0)
        return -1;
    hmac_line_init(&hk->hashed[hk->hashed_len], parts->salt, parts->digest);
    hk->hashed_owner[hk->hashed_len] = parts->marker == LINE_PLAIN ? line : INDEX_NONE;
    hk->lines[line].ref = (uint32_t)hk->hashed_len++;
    return 0;
}

static int add_number(uint32_t **list, size_t *len, size_t *cap, uint32_t line)
{
    if (mem_grow(list, cap, *len + 1, sizeof **list) != 0)
        return -1;
    (*list)[(*len)++] = line;
    return 0;
}

/* Marked lines are few and asked about only at certain moments: they have lists of their own, and
 * even their plain names are matched as patterns. */
static int file_line(struct hostkeys *hk, uint32_t line, const struct line_parts *parts)
{
    struct index_key *key = &hk->keys[hk->lines[line].key];
    bool plain = parts->marker == LINE_PLAIN && !parts->hashed &&
                 line_list_is_plain(parts->hosts, parts->hosts_len);
    if (plain)
        return add_plain(hk, line, parts);
    if ((parts->hashed ? add_hashed : add_patterns)(hk, line, parts) != 0)
        return -1;
    if (parts->marker == LINE_CA)
        return add_number(&hk->ca, &hk->ca_len, &hk->ca_cap, line);
    if (parts->marker == LINE_EXPIRED)
        return add_number(&hk->expired, &hk->expired_len, &hk->expired_cap, line);
    list_append(hk,
                parts->marker == LINE_REVOKED ? &key->revoked
                : parts->hashed               ? &key->hashed
                                              : &key->patterns,
                line);
    return 0;
}

static int add_line(struct hostkeys *hk, size_t file, const struct line_parts *parts,
                    const struct buf *blob)
{
    if (hk->lines_len >= INDEX_NONE - 1 ||
        mem_grow(&hk->lines, &hk->lines_cap, hk->lines_len + 1, sizeof *hk->lines) != 0)
        return -1;
    uint32_t key;
    if (add_key(hk, blob, parts->type, &key) != 0)
        return -1;
    uint32_t line = (uint32_t)hk->lines_len++;
    hk->lines[line] = (struct index_line){.key = key,
                                          .number = hk->files[file].lines,
                                          .next = INDEX_NONE,
                                          .file = (uint16_t)file,
                                          .hashed = parts->hashed,
                                          .until = parts->until};
    struct line_parts as = *parts;
    if (parts->marker == LINE_PLAIN && parts->until != 0 && parts->until <= hk->now)
        as.marker = LINE_EXPIRED;
    return file_line(hk, line, &as);
}

enum rc index_load(struct hostkeys *hk, size_t file, const char *text, size_t len, struct err *e)
{
    struct buf blob;
    buf_init(&blob, HOSTKEYS_MAX_BLOB);
    size_t first_hashed = hk->hashed_len;
    bool nomem = false;
    for (size_t at = 0; at < len && !nomem;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t n = newline ? (size_t)(newline - text) - at : len - at;
        struct line_parts parts;
        hk->files[file].lines++;
        enum line_kind kind = line_parse(text + at, n, &parts, &blob);
        nomem = kind == LINE_NOMEM || (kind == LINE_GOOD && add_line(hk, file, &parts, &blob) != 0);
        hk->skipped += kind == LINE_BAD;
        at += n + 1;
    }
    if (hk->hashed_len > first_hashed)
        hmac_prepare(hk->hashed + first_hashed, hk->hashed_len - first_hashed);
    buf_fini(&blob);
    return nomem ? err_nomem(e) : RC_OK;
}

enum rc index_file_named(struct hostkeys *hk, const char *name, size_t *file, struct err *e)
{
    if (hk->files_len >= HOSTKEYS_MAX_FILES)
        return err_set(e, RC_LIMIT, "%s: more than %d files of known hosts", name,
                       HOSTKEYS_MAX_FILES);
    char *copy = arena_strdup(&hk->arena, name);
    if (copy == NULL ||
        mem_grow(&hk->files, &hk->files_cap, hk->files_len + 1, sizeof *hk->files) != 0)
        return err_nomem(e);
    *file = hk->files_len++;
    hk->files[*file] = (struct index_file){.name = copy};
    return RC_OK;
}

enum rc hostkeys_load_text(struct hostkeys *hk, const char *name, const char *text, size_t len,
                           struct err *e)
{
    if (len > HOSTKEYS_MAX_FILE)
        return err_set(e, RC_LIMIT, "%s: larger than %d MiB", name, HOSTKEYS_MAX_FILE >> 20);
    size_t file = 0;
    enum rc rc = index_file_named(hk, name, &file, e);
    return rc == RC_OK ? index_load(hk, file, text, len, e) : rc;
}

/* Appends at most `chunk` bytes. RC_OK with *end set at the end of the file. */
static enum rc read_some(int fd, struct buf *b, size_t chunk, const char *path, bool *end,
                         struct err *e)
{
    if (chunk > b->max - b->len)
        chunk = b->max - b->len;
    if (chunk == 0)
        return err_set(e, RC_LIMIT, "%s: larger than %d MiB", path, HOSTKEYS_MAX_FILE >> 20);
    if (buf_reserve(b, chunk) != RC_OK)
        return err_nomem(e);
    ssize_t n = read(fd, b->data + b->len, chunk);
    if (n < 0)
        return errno == EINTR ? RC_OK : err_sys(e, errno, "%s: read", path);
    b->len += (size_t)n;
    *end = n == 0;
    return RC_OK;
}

enum rc index_read(int fd, off_t offset, const char *path, char **text, size_t *len, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "%s: stat", path);
    size_t chunk = 65536;
    if (S_ISREG(st.st_mode) && lseek(fd, offset, SEEK_SET) < 0)
        return err_sys(e, errno, "%s: seek", path);
    if (S_ISREG(st.st_mode) && st.st_size > offset + (off_t)chunk)
        chunk = (size_t)(st.st_size - offset) + 1; /* in one go */
    struct buf b;
    buf_init(&b, (size_t)HOSTKEYS_MAX_FILE + 1);
    enum rc rc = RC_OK;
    for (bool end = false; rc == RC_OK && !end;)
        rc = read_some(fd, &b, chunk, path, &end, e);
    if (rc == RC_OK && (*text = buf_take(&b, len)) == NULL)
        rc = err_nomem(e);
    buf_fini(&b);
    return rc;
}

static bool tail_hash(int fd, off_t size, uint64_t *hash)
{
    char tail[TAIL_BYTES];
    off_t from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    ssize_t n = pread(fd, tail, (size_t)(size - from), from);
    if (n != size - from)
        return false;
    *hash = map_hash(tail, (size_t)n);
    return true;
}

void index_snapshot_take(struct index_snapshot *snap, int fd, off_t size)
{
    struct stat st;
    snap->known = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && tail_hash(fd, size, &snap->tail);
    if (!snap->known)
        return;
    snap->dev = st.st_dev;
    snap->ino = st.st_ino;
    snap->size = size;
}

/* A file that was rewritten in place has other bytes before the old end, or fewer. */
bool index_snapshot_extends(const struct index_snapshot *snap, int fd)
{
    struct stat st;
    uint64_t tail;
    return snap->known && fstat(fd, &st) == 0 && st.st_dev == snap->dev && st.st_ino == snap->ino &&
           st.st_size >= snap->size && tail_hash(fd, snap->size, &tail) && tail == snap->tail;
}

enum rc hostkeys_load(struct hostkeys *hk, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(e, RC_NOTFOUND, "%s: no such file", path);
    if (fd < 0)
        return err_sys(e, errno, "%s: open", path);
    char *text = NULL;
    size_t len = 0, file = 0;
    enum rc rc = index_read(fd, 0, path, &text, &len, e);
    if (rc == RC_OK)
        rc = index_file_named(hk, path, &file, e);
    if (rc == RC_OK)
        rc = index_load(hk, file, text, len, e);
    if (rc == RC_OK)
        index_snapshot_take(&hk->files[file].seen, fd, (off_t)len);
    mem_free(text);
    close(fd);
    return rc;
}
