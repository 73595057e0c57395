/* See script.h. */
#include "controller/remote/script.h"

#include <ctype.h>
#include <string.h>

/* The first word: an environment with nothing but a login's own in it. $1 is the script. Without an
 * env(1) the script makes do with what it finds. */
#define OUTER                                                                                      \
    "if [ -x /usr/bin/env ]; then exec /usr/bin/env -i ${PATH:+\"PATH=$PATH\"} "                   \
    "${HOME:+\"HOME=$HOME\"} ${USER:+\"USER=$USER\"} ${LOGNAME:+\"LOGNAME=$LOGNAME\"} "            \
    "${SHELL:+\"SHELL=$SHELL\"} ${XDG_RUNTIME_DIR:+\"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR\"} "         \
    "${XDG_CACHE_HOME:+\"XDG_CACHE_HOME=$XDG_CACHE_HOME\"} LC_ALL=C /bin/sh -c \"$1\" \"$0\"; "    \
    "fi; LC_ALL=C; export LC_ALL; exec /bin/sh -c \"$1\" \"$0\""

/* The system's own tools come first. No globbing anywhere: words of ls and df are taken apart. */
#define HEAD                                                                                       \
    "p=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}; umask 077; set -f; u=$(id -u); "

/* own: may the folder we stand in be trusted? Nobody but us (and root) can have put a file there.
 * It is asked of ".", after cd, so that nobody can put another folder in its place in between. */
#define OWN                                                                                        \
    "own() { set -- $(ls -ldn . 2>/dev/null); e=owner; [ \"$3\" = \"$u\" ] || return 1; e=mode; "  \
    "case $1 in drwx------*|drwx--S---*) e=; return 0;; esac; return 1; }; "

/* into: goes into $f if it is there and may be trusted. */
#define INTO                                                                                       \
    "into() { e=none; [ -n \"$f\" ] || return 1; e=link; if [ -h \"$f\" ]; then return 1; fi; "    \
    "e=none; [ -d \"$f\" ] || return 1; e=denied; cd \"$f\" 2>/dev/null || return 1; own; }; "

/* why: a tool's message, or the agent's, to a word of ours; LC_ALL is C. */
#define WHY                                                                                        \
    "why() { case $m in *\"o space left\"*|*ENOSPC*) e=full;; *uota*|*EDQUOT*) e=quota;; "         \
    "*ead-only*|*EROFS*) e=ro;; *EBADMSG*) e=digest;; *\"ermission denied\"*|"                     \
    "*\"not permitted\"*|*EACCES*|*EPERM*) e=denied;; *\"xec format\"*) e=arch;; "                 \
    "*) e=error;; esac; }; "

/* make: the same, and makes it where its parent is there (of ~/.cache/muster: where ~ is). */
#define MAKE                                                                                       \
    "make() { if [ -n \"$f\" ]; then if [ -h \"$f\" ] || [ -d \"$f\" ]; then :; else "             \
    "b=${f%/*}; if [ $k = c ]; then b=${b%/*}; fi; e=none; [ -d \"${b:-/}\" ] || return 1; "       \
    "m=$(mkdir -p \"$f\" 2>&1) || { why; return 1; }; fi; fi; into; }; "

/* sum: the SHA-256 of a file into $d, by whatever there is; fails where nothing is. */
#define SUM                                                                                        \
    "sum() { for x in sha256sum \"busybox sha256sum\" \"openssl dgst -sha256 -r\" "                \
    "\"shasum -a 256\"; do d=$({ $x <\"$1\"; } 2>/dev/null) || continue; d=${d%% *}; "             \
    "if [ ${#d} = 64 ]; then return 0; fi; done; d=; return 1; }; "

/* mnt: nothing can be executed here. Is it the mount, or a policy? "" where there is no /proc to
 * tell: busybox needs it to run a file without a #! line, so that nothing was learnt. */
#define MNT                                                                                        \
    "mnt() { e=; [ -r /proc/self/mounts ] || return 0; b=$(pwd -P)/; l=0; o=; while read -r x y "  \
    "z w v; do case $b in \"${y%/}\"/*) if [ ${#y} -ge $l ]; then l=${#y}; o=$w; fi;; esac; "      \
    "done </proc/self/mounts; e=policy; case ,$o, in *,noexec,*) e=noexec;; esac; }; "

/* sweep: what an interrupted upload left behind, an hour ago or more. */
#define SWEEP                                                                                      \
    "sweep() { set +f; set -- .muster-* muster-temp-*; set -f; for x in \"$@\"; do "               \
    "if [ -f \"$x\" ]; then find . -type f \"(\" -name \".muster-*\" -o -name \"muster-temp-*\" "  \
    "\")\" -mmin +60 -exec rm -f {} + 2>/dev/null; break; fi; done; }; "

/* try: can the agent go to $f? An empty file is executed, which the kernel refuses as no program
 * it knows and the shell then reads as a script of no lines: the mount and the modes are tested
 * without an interpreter's help. */
#define TRY                                                                                        \
    "try() { make || return 1; sweep; y=.muster-$n.test; m=$({ : >$y && chmod 700 $y; } 2>&1) || " \
    "{ why; rm -f $y; return 1; }; if ./$y 2>/dev/null; then rm -f $y; else rm -f $y; mnt; "       \
    "[ -z \"$e\" ] || return 1; fi; set -- $(df -Pk . 2>/dev/null | tail -n 1); while [ $# -gt 3 " \
    "]; do shift; "                                                                                \
    "done; g=$1; [ \"$g\" -ge 0 ] 2>/dev/null || g=; e=full; if [ ${g:-$c} -lt $c ]; then "        \
    "return 1; fi; e=; }; "

/* here: the file $a of this very folder, whatever is put in the folder's place now, as a name that
 * holds after we have left for the home, where a login begins. */
#define HERE                                                                                       \
    "here() { exec 9<.; if cd \"${HOME:-/}\" 2>/dev/null && [ -f /proc/self/fd/9/$a ]; then "      \
    "a=/proc/self/fd/9/$a; else a=$f/$a; fi; }; "

/* run: becomes the agent $a, with a login's environment and the PATH it came with. */
#define RUN                                                                                        \
    "run() { PATH=$p; unset LC_ALL XDG_CACHE_HOME; echo \"muster-start $n at=$k\"; "               \
    "if [ -x /usr/bin/env ]; then exec /usr/bin/env -i ${PATH:+\"PATH=$PATH\"} "                   \
    "${HOME:+\"HOME=$HOME\"} ${USER:+\"USER=$USER\"} ${LOGNAME:+\"LOGNAME=$LOGNAME\"} "            \
    "${SHELL:+\"SHELL=$SHELL\"} ${XDG_RUNTIME_DIR:+\"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR\"} "         \
    "\"$a\" \"$@\" 9<&9; fi; exec \"$a\" \"$@\" 9<&9; }; "

static const char letters[] = "0123cvtsr";

enum rc script_check_dir(const char *dir, struct err *e)
{
    if (dir[0] != '/' || strlen(dir) > SCRIPT_MAX_DIR)
        return err_set(e, RC_USAGE, "%.80s: write an absolute path of at most %d bytes", dir,
                       SCRIPT_MAX_DIR);
    for (const char *c = dir; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("_@%+=:,./- ", *c) == NULL)
            return err_set(e, RC_USAGE,
                           "%.80s: a folder for the agent is written with letters, digits and "
                           "_@%%+=:,.- only",
                           dir);
    return RC_OK;
}

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static enum rc check_spec(const struct script_spec *s, struct err *e)
{
    if (s->dir_count > SCRIPT_MAX_DIRS || s->blob_count > SCRIPT_MAX_BLOBS)
        return err_set(e, RC_USAGE, "at most %d folders for the agent", SCRIPT_MAX_DIRS);
    for (size_t i = 0; i < s->dir_count; i++)
        if (script_check_dir(s->dirs[i], e) != RC_OK)
            return RC_USAGE;
    must(is_hex(s->nonce, AGENT_NONCE_HEX));
    must(s->temporary[0] == '\0' || is_hex(s->temporary, AGENT_NONCE_HEX));
    for (size_t i = 0; i < s->blob_count; i++)
        must(is_hex(s->blobs[i].sha256, 64));
    return RC_OK;
}

/* dir: the folder of a letter into $f, "" where there is none. */
static enum rc add_dir(struct buf *b, const struct script_spec *s)
{
    enum rc rc =
        buf_puts(b, "dir() { f=; case $1 in c) f=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}; "
                    "f=${f:+$f/muster};; r) f=${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/muster-$u};; "
                    "v) f=/var/tmp/muster-$u;; t) f=/tmp/muster-$u;; s) f=/dev/shm/muster-$u;; ");
    for (size_t i = 0; rc == RC_OK && i < s->dir_count; i++)
        rc = buf_printf(b, "%zu) f=\"%s/muster-$u\";; ", i, s->dirs[i]);
    return rc == RC_OK ? buf_puts(b, "esac; case $f in /*) ;; *) f=;; esac; }; ") : rc;
}

/* The places in their order: configured ones first, because somebody asked for them. What stays is
 * put where it outlives the login, which $XDG_RUNTIME_DIR does not. */
static enum rc add_order(struct buf *b, const struct script_spec *s)
{
    const char *usual = s->mode == REMOTE_TEMPORARY ? "rcvts" : "cvtsr";
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < s->dir_count; i++)
        if (strchr(s->refused, letters[i]) == NULL)
            rc = buf_printf(b, " %zu", i);
    for (; rc == RC_OK && *usual != '\0'; usual++)
        if (strchr(s->refused, *usual) == NULL)
            rc = buf_printf(b, " %c", *usual);
    return rc;
}

/* $s, $m: system and machine; $h: the digest of the agent for it, $c: KiB that must be free. */
static enum rc add_arch(struct buf *b, const struct script_spec *s)
{
    enum rc rc =
        buf_puts(b, "set -- $(uname -sm); s=$1; m=$2; case $m in amd64|x86-64) m=x86_64;; arm64) "
                    "m=aarch64;; esac; h=; c=0; case $s/$m in ");
    bool sends = s->mode == REMOTE_CACHED || s->mode == REMOTE_TEMPORARY;
    for (size_t i = 0; sends && rc == RC_OK && i < s->blob_count; i++) {
        unsigned long long room = s->blobs[i].len / 512 + 16; /* KiB: twice its size */
        rc = buf_printf(b, "Linux/%s) h=%s; c=%llu;; ", s->blobs[i].arch, s->blobs[i].sha256, room);
    }
    return rc == RC_OK ? buf_puts(b, "*) ;; esac; ") : rc;
}

/* An agent that a package put there: in the mode installed any, else only the very same file. */
static enum rc add_installed(struct buf *b, const struct script_spec *s)
{
    bool any = s->mode == REMOTE_INSTALLED;
    enum rc rc = buf_puts(b, "k=i; exec 9</dev/null; for a in /usr/libexec/muster/muster-agent "
                             "/usr/local/libexec/muster/muster-agent "
                             "\"$(command -v muster-agent 2>/dev/null)\"; do [ -n \"$a\" ] && "
                             "[ -f \"$a\" ] && [ -x \"$a\" ] || continue; ");
    if (rc == RC_OK && !any)
        rc = buf_puts(b, "[ -n \"$h\" ] && sum \"$a\" && [ $d = $h ] || continue; ");
    if (rc == RC_OK)
        rc = buf_printf(b, "run --nonce $n --idle-ms %llu%s; done; ",
                        (unsigned long long)s->idle_ms, any ? "" : " --expect $h");
    return rc;
}

/* The one that an upload of the mode temporary has just put there. */
static enum rc add_temporary(struct buf *b, const struct script_spec *s)
{
    if (s->temporary[0] == '\0')
        return RC_OK;
    return buf_printf(b,
                      "k=%c; a=muster-temp-%s; dir $k; if [ -n \"$h\" ] && into && [ -f $a ]; "
                      "then here; run --nonce $n --idle-ms %llu --expect $h --temporary; fi; ",
                      s->temporary_place, s->temporary, (unsigned long long)s->idle_ms);
}

/* A file of another digest than its name says is damaged, and removed. Where no tool tells, the
 * agent itself does (--expect), and the next probe knows it by the place. */
static enum rc add_cached(struct buf *b, const struct script_spec *s)
{
    enum rc rc = buf_puts(b, "if [ -n \"$h\" ]; then a=muster-agent-$h; for k in");
    if (rc == RC_OK)
        rc = add_order(b, s);
    if (rc == RC_OK)
        rc = buf_puts(b, "; do dir $k; into || continue; [ -f $a ] && [ -x $a ] || continue; "
                         "if [ -h $a ]; then continue; fi; ");
    if (rc == RC_OK && s->damaged_place != '\0')
        rc = buf_printf(b, "if [ $k = %c ]; then rm -f $a; continue; fi; ", s->damaged_place);
    if (rc == RC_OK)
        rc = buf_printf(b,
                        "if sum $a; then if [ $d = $h ]; then :; else rm -f $a; continue; fi; fi; "
                        "sweep; here; run --nonce $n --idle-ms %llu --expect $h; done; fi; ",
                        (unsigned long long)s->idle_ms);
    return rc;
}

static enum rc add_choice(struct buf *b, const struct script_spec *s)
{
    enum rc rc = buf_puts(b, "if [ -n \"$h\" ]; then for k in");
    if (rc == RC_OK)
        rc = add_order(b, s);
    return rc == RC_OK ? buf_puts(b, "; do dir $k; if try; then q=$k; break; fi; i=$i$k:$e,; done; "
                                     "fi; ")
                       : rc;
}

#define REPORT                                                                                     \
    "t=0; if sum /dev/null; then t=1; fi; b=; { read -r b </proc/sys/kernel/random/boot_id; } "    \
    "2>/dev/null; l=$({ getconf LONG_BIT; } 2>/dev/null); "                                        \
    "echo \"muster-probe $n os=$s arch=$j bits=$l uid=$u boot=$b tool=$t at=$q free=$g "           \
    "refused=$i\""

static enum rc begin(struct buf *b, const struct script_spec *s, struct err *e)
{
    buf_init(b, SCRIPT_MAX);
    enum rc rc = check_spec(s, e);
    if (rc == RC_OK)
        rc = buf_printf(b, HEAD "n=%s; ", s->nonce);
    if (rc == RC_OK)
        rc = add_dir(b, s);
    return rc == RC_OK ? buf_puts(b, OWN INTO WHY MAKE SUM MNT) : rc;
}

static enum rc finish(struct buf *b, enum rc rc, struct buf *out, const char *nonce, struct err *e)
{
    if (rc == RC_OK)
        rc = script_line(out, nonce, (const char *)b->data, b->len, e);
    buf_fini(b);
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}

enum rc script_probe(struct buf *out, const struct script_spec *s, struct err *e)
{
    struct buf b;
    enum rc rc = begin(&b, s, e);
    if (rc == RC_OK)
        rc = buf_puts(&b, SWEEP TRY HERE RUN "q=; g=; i=; ");
    if (rc == RC_OK)
        rc = add_arch(&b, s);
    if (rc == RC_OK)
        rc = buf_puts(&b, "j=$m; ");
    if (rc == RC_OK)
        rc = add_temporary(&b, s);
    if (rc == RC_OK && s->mode != REMOTE_NEVER)
        rc = add_installed(&b, s);
    if (rc == RC_OK && (s->mode == REMOTE_CACHED || s->mode == REMOTE_TEMPORARY)) {
        rc = add_cached(&b, s);
        if (rc == RC_OK)
            rc = add_choice(&b, s);
    }
    if (rc == RC_OK)
        rc = buf_puts(&b, REPORT);
    return finish(&b, rc, out, s->nonce, e);
}

/* Stored under a name that is nobody else's, checked, then placed by the agent itself, which knows
 * fsync; one that cannot do that for another reason than the disk is moved after a sync. */
#define STORE                                                                                      \
    "say() { echo \"muster-placed $n $1\"; exit 0; }; dir $k; make || say error=$e; "              \
    "q=.muster-$n.part; trap \"rm -f $q\" EXIT; trap \"exit 1\" HUP INT TERM PIPE; set -C; "       \
    "m=$({ cat >$q; } 2>&1) || { why; say error=$e; }; set +C; s=$(wc -c <$q); "                   \
    "[ $s -eq $c ] || say error=short; chmod 700 $q; t=0; if sum $q; then t=1; "                   \
    "[ $d = $h ] || say error=digest; fi; m=$(./$q --place \"$(pwd -P)/$a\" --expect $h --from "   \
    "$q 2>&1); x=$?; "                                                                             \
    "case $x in 0) ;; 126) why; if [ $e = denied ]; then mnt; fi; say error=${e:-policy};; *) "    \
    "why; "                                                                                        \
    "if [ $e = error ] && [ $t = 1 ] && [ $x -lt 126 ]; then sync; m=$(mv -f $q $a 2>&1) || "      \
    "{ why; say error=$e; }; elif [ $e = error ]; then say \"error=run exit=$x\"; "                \
    "else say error=$e; fi;; esac; find . -type f -name \"muster-agent-*\" -mtime +30 "            \
    "-exec rm -f {} + 2>/dev/null; [ -f $a ] || say \"error=run exit=$x\"; say ok"

enum rc script_upload(struct buf *out, const struct script_spec *s, char place,
                      const struct remote_blob *blob, struct err *e)
{
    must(place != '\0' && strchr(letters, place) != NULL);
    struct buf b;
    enum rc rc = begin(&b, s, e);
    if (rc == RC_OK)
        rc = buf_printf(&b, "k=%c; h=%s; c=%llu; a=", place, blob->sha256,
                        (unsigned long long)blob->len);
    if (rc == RC_OK)
        rc = s->mode == REMOTE_TEMPORARY ? buf_puts(&b, "muster-temp-$n; ")
                                         : buf_puts(&b, "muster-agent-$h; ");
    if (rc == RC_OK)
        rc = buf_puts(&b, STORE);
    return finish(&b, rc, out, s->nonce, e);
}

enum rc script_line(struct buf *out, const char *nonce, const char *script, size_t len,
                    struct err *e)
{
    for (size_t i = 0; i < len; i++)
        if (script[i] == '\'' || script[i] == '\\' || script[i] == '!' || script[i] == '\n' ||
            script[i] == '\0')
            return err_set(e, RC_USAGE, "byte %zu cannot be in a command line for every shell", i);
    enum rc rc = buf_printf(out, "exec /bin/sh -c '" OUTER "' muster-nonce=%s '", nonce);
    if (rc == RC_OK)
        rc = buf_append(out, script, len);
    return rc == RC_OK ? buf_putc(out, '\'') : rc;
}
