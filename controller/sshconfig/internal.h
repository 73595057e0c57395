/* What the files of controller/sshconfig share. A configuration is a list of blocks in the order of
 * the files; a block says when it holds and has the directives that then apply. Private.
 */
#ifndef CONTROLLER_SSHCONFIG_INTERNAL_H
#define CONTROLLER_SSHCONFIG_INTERNAL_H

#include <stdint.h>

#include "common/arena.h"
#include "common/map.h"
#include "controller/sshconfig/sshconfig.h"

enum { NO_BLOCK = UINT32_MAX };

enum criterion_kind {
    BY_ALL,
    BY_HOST,
    BY_ORIGINAL_HOST,
    BY_USER,
    BY_LOCAL_USER,
    BY_FINAL,   /* final and canonical: the second pass */
    BY_UNKNOWN, /* exec, localnetwork, tagged, …: not for us to know */
};

struct criterion {
    enum criterion_kind kind;
    bool negated;
    const char *arg; /* pattern list, or the word itself for BY_UNKNOWN */
};

struct directive {
    enum sshword word; /* one that is acted on */
    uint32_t argc;
    const char *const *argv;
    const char *where; /* "file:line" */
};

enum block_kind { BLOCK_ALWAYS, BLOCK_HOST, BLOCK_MATCH, BLOCK_AGAIN };

struct block {
    enum block_kind kind;
    bool referenced;   /* is the parent or the original of another */
    uint32_t parent;   /* the block whose Include this stands in, or NO_BLOCK */
    uint32_t original; /* BLOCK_AGAIN: goes on after an Include, holds when that one does */
    uint32_t count;    /* patterns or criteria */
    const char *const *patterns;
    const struct criterion *criteria;
    const char *where;
    uint32_t first, directives; /* in the configuration's list */
};

struct hits { /* blocks that name a host plainly, ascending */
    uint32_t *items;
    size_t count, cap;
};

struct sshconfig {
    struct arena arena;
    struct block *blocks;
    size_t block_count, block_cap;
    struct directive *directives;
    size_t directive_count, directive_cap;
    struct map exact; /* host name -> struct hits */
    uint32_t *scan;   /* blocks that every question looks at, ascending */
    size_t scan_count, scan_cap;
    uint32_t *stamp; /* by block: the pass in which it held last */
    size_t stamp_cap;
    uint32_t pass;
    bool has_final; /* some Match asks for the second pass */
    bool indexed;
    const char *ignore_unknown; /* pattern list, or NULL */
    size_t bytes, files;
};

/* One file while it is read. */
struct reading {
    struct sshconfig *c;
    const char *name; /* for places */
    const char *home;
    bool user;
    unsigned depth;
    uint32_t parent; /* of its blocks */
    uint32_t block;  /* the current one */
};

/* parse.c: the lines of one file into blocks; r->name must live as long as the configuration. */
enum rc parse_text(struct reading *r, const char *text, size_t len, struct err *e);
/* A block that always holds (within r->parent) becomes the current one. */
enum rc parse_begin(struct reading *r, struct err *e);

/* load.c: the files that an Include names, in place. */
enum rc load_include(struct reading *r, const char *pattern, struct err *e);

/* split.c: the words of a line's rest as ssh splits them; a '#' that begins a word ends the line.
 * *argv (in the arena) has `argc` words; `at` is where each began. RC_PARSE: a quote is not closed.
 */
struct split {
    const char **argv;
    size_t *at;
    size_t argc, cap;
};
void split_init(struct split *s);
void split_fini(struct split *s);
enum rc split_words(struct split *s, struct arena *arena, const char *text, struct err *e);

/* match.c: ssh's patterns, * and ? only; a list has commas and !negations. */
bool match_pattern(const char *name, const char *pattern);
/* 1: matches, 0: does not, -1: a negated pattern matches. lower: the case of letters is not
 * told apart, as for host names. */
int match_list(const char *name, const char *list, bool lower);

#endif
