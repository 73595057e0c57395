/* Prints samples of agent/core as JSON, one a line: what test_psutil.py compares with psutil.
 *
 *     core_dump [--root DIR] [--only SECTION,...] [--top N] [--by rss|cpu|io] [--detail]
 *               [--count N]   (the next one when a line arrives on standard input)
 *
 * Bytes that are not UTF-8 become {"bin": "hex"}.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/core.h"
#include "common/str.h"
#include "proto/frame.h"

static void print(struct buf *b, const msgpack_object *o);

static void print_bin(struct buf *b, const msgpack_object_bin *bin)
{
    must(buf_puts(b, "{\"bin\": \"") == RC_OK);
    must(str_hex(b, bin->ptr, bin->size) == RC_OK);
    must(buf_puts(b, "\"}") == RC_OK);
}

static void print_array(struct buf *b, const msgpack_object_array *a)
{
    must(buf_putc(b, '[') == RC_OK);
    for (uint32_t i = 0; i < a->size; i++) {
        must(buf_puts(b, i > 0 ? ", " : "") == RC_OK);
        print(b, &a->ptr[i]);
    }
    must(buf_putc(b, ']') == RC_OK);
}

static void print_map(struct buf *b, const msgpack_object_map *m)
{
    must(buf_putc(b, '{') == RC_OK);
    for (uint32_t i = 0; i < m->size; i++) {
        must(buf_puts(b, i > 0 ? ", " : "") == RC_OK);
        print(b, &m->ptr[i].key);
        must(buf_puts(b, ": ") == RC_OK);
        print(b, &m->ptr[i].val);
    }
    must(buf_putc(b, '}') == RC_OK);
}

static void print(struct buf *b, const msgpack_object *o)
{
    switch (o->type) {
    case MSGPACK_OBJECT_NIL: must(buf_puts(b, "null") == RC_OK); break;
    case MSGPACK_OBJECT_BOOLEAN:
        must(buf_puts(b, o->via.boolean ? "true" : "false") == RC_OK);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        must(buf_printf(b, "%" PRIu64, o->via.u64) == RC_OK);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        must(buf_printf(b, "%" PRId64, o->via.i64) == RC_OK);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: must(buf_printf(b, "%.17g", o->via.f64) == RC_OK); break;
    case MSGPACK_OBJECT_STR: must(str_json(b, o->via.str.ptr, o->via.str.size) == RC_OK); break;
    case MSGPACK_OBJECT_BIN: print_bin(b, &o->via.bin); break;
    case MSGPACK_OBJECT_ARRAY: print_array(b, &o->via.array); break;
    case MSGPACK_OBJECT_MAP: print_map(b, &o->via.map); break;
    default: must(0);
    }
}

static uint64_t sections(const char *list)
{
    uint64_t bits = 0;
    while (*list != '\0') {
        size_t n = strcspn(list, ",");
        int number = core_section_find(list, n);
        if (number < 0) {
            fprintf(stderr, "core_dump: no section %.*s\n", (int)n, list);
            exit(2);
        }
        bits |= (uint64_t)1 << number;
        list += n + (list[n] == ',');
    }
    return bits;
}

static void one(struct core *c, const struct core_request *r, uint64_t seq)
{
    struct buf sample, text;
    struct wire_map m;
    struct err e;
    buf_init(&sample, FRAME_MAX);
    buf_init(&text, 64 << 20);
    must(core_sample(c, r, seq, 0, &sample) == RC_OK);
    if (wire_open(&m, sample.data, sample.len, &e) != RC_OK) {
        fprintf(stderr, "core_dump: %s\n", e.msg);
        exit(1);
    }
    print(&text, &m.root);
    wire_close(&m);
    printf("%s\n", buf_cstr(&text));
    fflush(stdout);
    buf_fini(&text);
    buf_fini(&sample);
}

int main(int argc, char **argv)
{
    struct core_spec spec = {.root = "", .may_fork = true};
    struct core_request r = {.sections = ~(uint64_t)0, .section_ms = 2000};
    unsigned long count = 1;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--detail") == 0) {
            r.detail = true;
            continue;
        }
        if (strcmp(argv[i], "--root") == 0)
            spec.root = value;
        else if (strcmp(argv[i], "--only") == 0)
            r.sections = sections(value);
        else if (strcmp(argv[i], "--top") == 0)
            r.top = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--by") == 0)
            r.by = value[0] == 'c' ? CORE_BY_CPU : value[0] == 'i' ? CORE_BY_IO : CORE_BY_RSS;
        else if (strcmp(argv[i], "--count") == 0)
            count = strtoul(value, NULL, 10);
        i++;
    }
    struct core *c;
    char line[16];
    must(core_new(&c, &spec, NULL) == RC_OK);
    for (unsigned long n = 0; n < count; n++) {
        if (n > 0 && fgets(line, sizeof line, stdin) == NULL)
            break;
        one(c, &r, n);
    }
    core_free(c);
    return 0;
}
