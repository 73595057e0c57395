/* muster debug: what is of use when something between muster and its agent goes wrong. */
#include "controller/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "proto/show.h"

enum { CAPTURE_MAX = 256 << 20, TEXT_MAX = 1 << 30, STEP = 64 << 10 };

static enum rc read_capture(const char *path, struct buf *out, struct err *e)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    enum rc rc = RC_OK;
    if (f == NULL)
        return err_sys(e, errno, "%s", path);
    for (size_t n = 1; rc == RC_OK && n > 0;) {
        rc = buf_reserve(out, STEP);
        n = rc == RC_OK ? fread(out->data + out->len, 1, STEP, f) : 0;
        out->len += n;
    }
    int broken = ferror(f);
    if (f != stdin)
        fclose(f);
    if (broken)
        return err_sys(e, EIO, "%s", path);
    char most[NUM_TEXT];
    if (rc == RC_LIMIT)
        return err_set(e, rc, "%s is larger than %s", path, num_size_text(most, CAPTURE_MAX));
    return rc == RC_OK ? rc : err_nomem(e);
}

int cmd_debug(struct options *o)
{
    struct buf bytes, text;
    struct err e = {0};
    buf_init(&bytes, CAPTURE_MAX);
    buf_init(&text, TEXT_MAX);
    enum rc rc = read_capture(o->words.items[1], &bytes, &e);
    if (rc == RC_OK && show_stream(&text, bytes.data, bytes.len) != RC_OK)
        rc = err_nomem(&e);
    if (rc == RC_OK)
        cmd_write(text.data, text.len);
    buf_fini(&bytes);
    buf_fini(&text);
    return rc == RC_OK ? cmd_printed() : cmd_fail(&e);
}
