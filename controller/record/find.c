/* Which runs are on record, and which one a person means. See record.h, internal.h. */
#include "controller/record/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"

char *record_runs_dir(const char *state_dir)
{
    size_t n = strlen(state_dir) + sizeof "/runs";
    char *dir = mem_alloc(n);
    if (dir != NULL)
        snprintf(dir, n, "%s/runs", state_dir);
    return dir;
}

/* "20260131-090500-k3f9": digits, letters and dashes, so that it can be no path. */
static bool is_id(const char *s, size_t n)
{
    if (n < 17 || n >= RECORD_ID || !isdigit((unsigned char)s[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '-')
            return false;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(*(char *const *)b, *(char *const *)a);
}

void ids_free(struct ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        mem_free(ids->items[i]);
    mem_free(ids->items);
}

enum rc ids_list(const char *dir, struct ids *out, struct err *e)
{
    static const char suffix[] = ".ndjson";
    DIR *d = opendir(dir);
    if (d == NULL)
        return errno == ENOENT ? RC_OK : err_sys(e, errno, "%s", dir);
    enum rc rc = RC_OK;
    for (struct dirent *entry; rc == RC_OK && (entry = readdir(d)) != NULL;) {
        size_t n = strlen(entry->d_name), tail = sizeof suffix - 1;
        if (n <= tail || !str_ends(entry->d_name, suffix) || !is_id(entry->d_name, n - tail))
            continue;
        char *id = mem_strndup(entry->d_name, n - tail);
        if (id == NULL || mem_grow(&out->items, &out->cap, out->count + 1, sizeof *out->items)) {
            mem_free(id);
            rc = err_nomem(e);
        } else {
            out->items[out->count++] = id;
        }
    }
    closedir(d);
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, newest_first);
    return rc;
}

/* "last", "-1", "-2": 0, 0, 1. false: it is no such word. */
static bool which_number(const char *which, size_t *place)
{
    uint64_t n;
    if (strcmp(which, "last") == 0)
        n = 1;
    else if (which[0] != '-' || num_u64(which + 1, 1, UINT32_MAX, &n, NULL) != RC_OK)
        return false;
    *place = (size_t)n - 1;
    return true;
}

enum rc ids_choose(const char *dir, const struct ids *ids, const char *which, enum record_use use,
                   char *id, struct err *e)
{
    size_t place, found = 0;
    char shown[64];
    str_escape_to(shown, sizeof shown, which, strlen(which), 0);
    if (ids->count == 0)
        return err_set(e, RC_NOTFOUND, "there is no record of any run yet");
    if (which_number(which, &place))
        return ids_place(dir, ids, use, place, id, e);
    for (size_t i = 0; i < ids->count && *which != '\0'; i++) {
        if (!str_starts(ids->items[i], which))
            continue;
        place = i;
        if (++found == 2)
            return err_set(e, RC_AMBIGUOUS, "'%s' is the beginning of %s and of %s", shown, id,
                           ids->items[i]);
        snprintf(id, RECORD_ID, "%s", ids->items[i]);
    }
    if (found == 0)
        return err_set(e, RC_NOTFOUND,
                       "no run '%s' on record (muster history lists them; the "
                       "newest is %s)",
                       shown, ids->items[0]);
    return RC_OK;
}

bool record_is_locked(int fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int record_open_file(const char *dir, const char *id)
{
    char path[RECORD_PATH];
    if (snprintf(path, sizeof path, "%s/%s.ndjson", dir, id) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

char *record_take_text(const json_t *v)
{
    if (json_is_string(v))
        return mem_strndup(json_string_value(v), json_string_length(v));
    const json_t *coded = json_object_get(v, "base64");
    if (!json_is_string(coded))
        return NULL;
    struct buf raw;
    buf_init(&raw, 1024 * 1024);
    char *text = NULL;
    if (str_unbase64(&raw, json_string_value(coded), json_string_length(coded)) == RC_OK)
        text = mem_strndup(raw.len > 0 ? (const char *)raw.data : "", raw.len);
    buf_fini(&raw);
    return text;
}
