/* See listfile.h. */
#include "inventory/listfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/str.h"

static enum rc read_fd(int fd, const char *name, struct buf *b, struct err *e)
{
    for (;;) {
        enum rc rc = buf_reserve(b, 65536);
        if (rc == RC_NOMEM)
            return err_nomem(e);
        if (rc != RC_OK)
            return err_set(e, rc, "%s: more than 256 MiB; that is no list of hosts", name);
        ssize_t n = read(fd, b->data + b->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "cannot read %s", name);
        if (n == 0)
            return RC_OK;
        b->len += (size_t)n;
    }
}

static enum rc read_all(const char *path, struct buf *b, struct err *e)
{
    char name[256];
    if (strcmp(path, "-") == 0)
        return read_fd(STDIN_FILENO, "standard input", b, e);
    str_escape_to(name, sizeof name, path, strlen(path), 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "cannot open the list %s", name);
    enum rc rc = read_fd(fd, name, b, e);
    close(fd);
    return rc;
}

static int is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t count_lines(const char *p, size_t n)
{
    size_t lines = 1;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void split(struct listfile *out, char *text)
{
    unsigned number = 0;
    for (char *p = text; p != NULL;) {
        char *next = strchr(p, '\n');
        if (next != NULL)
            *next++ = '\0';
        number++;
        while (is_blank(*p))
            p++;
        size_t n = strlen(p);
        while (n > 0 && is_blank(p[n - 1]))
            p[--n] = '\0';
        if (n > 0 && *p != '#') {
            out->numbers[out->count] = number;
            out->lines[out->count++] = p;
        }
        p = next;
    }
}

enum rc listfile_read(struct listfile *out, const char *path, struct arena *arena, struct err *e)
{
    struct buf b;
    buf_init(&b, LISTFILE_MAX);
    enum rc rc = read_all(path, &b, e);
    if (rc == RC_OK && b.len > 0 && memchr(b.data, '\0', b.len) != NULL)
        rc = err_set(e, RC_PARSE, "the list holds a NUL byte; it is not a text file");
    if (rc == RC_OK) {
        size_t lines = count_lines((const char *)b.data, b.len);
        char *text = arena_strndup(arena, b.len > 0 ? (const char *)b.data : "", b.len);
        out->count = 0;
        out->lines = arena_alloc(arena, lines * sizeof *out->lines);
        out->numbers = arena_alloc(arena, lines * sizeof *out->numbers);
        if (text == NULL || out->lines == NULL || out->numbers == NULL)
            rc = err_nomem(e);
        else
            split(out, text);
    }
    buf_fini(&b);
    return rc;
}
