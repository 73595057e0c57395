/* Host names as inventory files write them: "web[01:20:2].example.com", "db-[a:f]", "h:2222",
 * "[2001:db8::1]:22" - Ansible's own grammar, which is not the one of patterns and -w (hostset.h).
 * Single thread (the regular expressions are compiled once per inventory).
 */
#ifndef INVENTORY_HOSTRANGE_H
#define INVENTORY_HOSTRANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum { HOSTRANGE_MAX = 10000000, HOSTRANGE_SEGMENTS = 32 };

struct hostrange_patterns;

struct hostrange_segment {
    const char *head; /* text before the range, head_len bytes */
    size_t head_len;
    int64_t begin, step;
    uint64_t count;
    unsigned width; /* zero padding; 0 none */
    bool letters;   /* begin is an index into a-zA-Z */
};

struct hostrange {
    char *text; /* the pattern without its port; mem_free by hostrange_fini */
    struct hostrange_segment segments[HOSTRANGE_SEGMENTS];
    unsigned segment_count;
    const char *tail; /* after the last range */
    uint64_t total;   /* names it stands for; 0 for an empty range such as [5:1] */
    int64_t port;     /* 0: none */
    uint64_t next;    /* names already given */
};

/* Splits off the port, finds the ranges, checks them. *patterns is NULL at first and kept by the
 * caller (hostrange_patterns_free). RC_PARSE, RC_LIMIT past HOSTRANGE_MAX names, RC_NOMEM. Always
 * hostrange_fini. */
enum rc hostrange_init(struct hostrange *r, struct hostrange_patterns **patterns, const char *text,
                       struct err *e);
void hostrange_fini(struct hostrange *r);
void hostrange_patterns_free(struct hostrange_patterns *p);

/* Writes the next name into `name` (emptied first). RC_NOTFOUND when there are no more. */
enum rc hostrange_next(struct hostrange *r, struct buf *name);

/* Whole text as Python's int() reads it: blanks around, a sign, single underscores inside. */
bool hostrange_int(const char *s, size_t n, int64_t *out);

#endif
