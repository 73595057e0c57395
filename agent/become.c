/* See become.h. */
#include "agent/become.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "common/num.h"
#include "common/str.h"

enum { MARK = 036, TOKEN_BYTES = 12, PAGE = 4096 };

/* Runs behind sudo. It goes where it was told with that user's rights, says so, and becomes a clean
 * shell for the text. $4 is what LC_ALL is to be again ("-": nothing): sudo itself ran with C. */
static const char WRAP[] =
    "unset CDPATH; "
    "if [ -n \"$2\" ] && ! cd -- \"$2\"; then printf \"\\036%s cwd\\n\" \"$1\" >&2; exit 126; fi; "
    "[ -z \"$3\" ] || umask \"$3\"; "
    "if [ \"$4\" = - ]; then unset LC_ALL; else LC_ALL=${4#+}; export LC_ALL; fi; "
    "printf \"\\036%s go %d\\n\" \"$1\" $$ >&2; "
    "exec /bin/sh -c \"$5\"";

static bool usable(const char *path)
{
    return access(path, X_OK) == 0;
}

static bool find_sudo(struct become *b, char *const *env)
{
    static const char usual[] = "/usr/bin:/bin:/usr/local/bin:/run/wrappers/bin:/opt/local/bin";
    const char *lists[] = {exec_env(env, "PATH"), usual};
    for (unsigned i = 0; i < 2; i++)
        for (const char *p = lists[i]; p != NULL && *p != '\0';) {
            size_t n = strcspn(p, ":");
            int len = snprintf(b->sudo, sizeof b->sudo, "%.*s/sudo", (int)n, p);
            if (*p == '/' && len < (int)sizeof b->sudo && usable(b->sudo))
                return true;
            p += n + (p[n] == ':');
        }
    b->sudo[0] = '\0';
    return false;
}

static bool make_token(struct become *b)
{
    uint8_t raw[TOKEN_BYTES];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return false;
    size_t n = (size_t)snprintf(b->token, sizeof b->token, "muster-");
    for (unsigned i = 0; i < sizeof raw; i++)
        n += (size_t)snprintf(b->token + n, sizeof b->token - n, "%02x", raw[i]);
    return true;
}

/* MADV_WIPEONFORK where there is one: what is forked while we wait has zeros there. */
static bool make_secret(struct become *b)
{
    void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return false;
    b->secret = p;
    (void)mlock(p, PAGE);
    (void)madvise(p, PAGE, MADV_DONTDUMP);
    (void)madvise(p, PAGE, MADV_DONTFORK);
    return true;
}

enum rc become_init(struct become *b, const struct exec_request *r, char *const *env, struct err *e)
{
    *b = (struct become){.direct = r->shell == NULL, .may_answer = r->become_password};
    if (!find_sudo(b, env))
        return err_set(e, RC_NOTFOUND, "there is no sudo");
    if (!make_token(b))
        return err_sys(e, errno, "no random numbers");
    if (b->may_answer && !make_secret(b))
        return err_nomem(e);
    return RC_OK;
}

void become_fini(struct become *b)
{
    if (b->secret != NULL) {
        explicit_bzero(b->secret, PAGE);
        munmap(b->secret, PAGE);
    }
    b->secret = NULL;
    b->secret_len = 0;
}

/* ---- what is run ---- */

/* The names of the request's own variables, for sudo to let through. NULL: no memory; "": none. */
static char *preserved(struct exec_request *r)
{
    size_t n = sizeof "--preserve-env=";
    for (char **p = r->extra; *p != NULL; p++)
        n += strlen(*p) + 1;
    char *text = arena_alloc(&r->arena, n);
    if (text == NULL)
        return NULL;
    size_t at = (size_t)snprintf(text, n, "--preserve-env=");
    for (char **p = r->extra; *p != NULL; p++)
        at += (size_t)snprintf(text + at, n - at, "%s%.*s", p == r->extra ? "" : ",",
                               (int)strcspn(*p, "="), *p);
    if (r->extra[0] == NULL)
        *text = '\0';
    return text;
}

/* In English, so that what it says can be told apart. */
static enum rc wrap_env(struct exec_request *r)
{
    static char c[] = "LC_ALL=C";
    size_t n = 0, at = 0;
    while (r->envp[n] != NULL)
        n++;
    char **env = arena_calloc(&r->arena, n + 2, sizeof *env);
    if (env == NULL)
        return RC_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (!str_starts(r->envp[i], "LC_ALL=") && !str_starts(r->envp[i], "SUDO_ASKPASS="))
            env[at++] = r->envp[i];
    env[at] = c;
    r->envp = env;
    return RC_OK;
}

static char *joined(struct exec_request *r, const char *before, const char *s, const char *after)
{
    size_t n = strlen(before) + strlen(s) + strlen(after) + 1;
    char *text = arena_alloc(&r->arena, n);
    if (text != NULL)
        (void)snprintf(text, n, "%s%s%s", before, s, after);
    return text;
}

static char *text_of(const char *s) /* execve's argv is not const; nobody writes to it */
{
    return (char *)(uintptr_t)s;
}

enum rc become_wrap(const struct become *b, struct exec_request *r, struct err *e)
{
    size_t n = 0, at = 0;
    while (r->argv[n] != NULL)
        n++;
    const char *lc = exec_env(r->envp, "LC_ALL");
    char *prompt = joined(r, "[", b->token, "] "), *keep = preserved(r),
         *user = joined(r, "", r->become_user, ""), *mask = joined(r, "", "0000000", ""),
         *again = lc != NULL ? joined(r, "+", lc, "") : joined(r, "", "-", ""),
         *token = joined(r, "", b->token, ""), *sudo = joined(r, "", b->sudo, ""),
         **argv = arena_calloc(&r->arena, n + 18, sizeof *argv);
    if (prompt == NULL || keep == NULL || user == NULL || mask == NULL || again == NULL ||
        token == NULL || sudo == NULL || argv == NULL || wrap_env(r) != RC_OK)
        return err_nomem(e);
    if (r->mask >= 0)
        (void)snprintf(mask, 8, "%04o", (unsigned)r->mask & 0777u);
    argv[at++] = sudo;
    argv[at++] = text_of("-p");
    argv[at++] = prompt;
    argv[at++] = text_of("-u");
    argv[at++] = user;
    if (*keep != '\0')
        argv[at++] = keep;
    argv[at++] = text_of("--");
    if (b->direct) {
        memcpy(argv + at, r->argv, n * sizeof *argv);
    } else {
        char *const wrapped[] = {text_of("/bin/sh"),
                                 text_of("-c"),
                                 text_of(WRAP),
                                 text_of("sh"),
                                 token,
                                 text_of(r->cwd != NULL ? r->cwd : ""),
                                 text_of(r->mask >= 0 ? mask : ""),
                                 again,
                                 text_of(r->shell)};
        memcpy(argv + at, wrapped, sizeof wrapped);
        r->cwd = NULL; /* that user goes there, not we */
        r->mask = -1;
    }
    r->argv = argv;
    return RC_OK;
}

/* ---- the dialogue ---- */

static void failed(struct become *b, const char *problem)
{
    if (b->state == BECOME_FAILED)
        return;
    b->state = BECOME_FAILED;
    b->problem = problem;
    become_fini(b);
}

void become_secret(struct become *b, const void *p, size_t n)
{
    if (b->secret == NULL || b->have_secret)
        return;
    b->have_secret = true;
    if (n > BECOME_SECRET ||
        (n > 0 && (memchr(p, 0, n) || memchr(p, '\n', n) || memchr(p, '\r', n)))) {
        failed(b, "become-wrong-password"); /* no password that can be typed */
        return;
    }
    if (n > 0)
        memcpy(b->secret, p, n);
    b->secret_len = n;
}

/* Keeps the last of it. Returns how many bytes went from the front. */
static size_t keep_last(char *text, size_t *len, const void *p, size_t n)
{
    size_t gone = 0;
    if (n > BECOME_TEXT / 2) {
        p = (const char *)p + (n - BECOME_TEXT / 2);
        n = BECOME_TEXT / 2;
    }
    if (*len + n > BECOME_TEXT) {
        gone = *len + n - BECOME_TEXT;
        memmove(text, text + gone, *len - gone);
        *len -= gone;
    }
    memcpy(text + *len, p, n);
    *len += n;
    return gone;
}

static void count_prompts(struct become *b)
{
    size_t len = strlen(b->token);
    for (;;) {
        char *at = memmem(b->said + b->seen, b->n_said - b->seen, b->token, len);
        if (at == NULL)
            return;
        b->prompts++;
        b->seen = (size_t)(at - b->said) + len;
    }
}

/* The terminal was made without echo, and sudo turns it off itself; but a program that turned it on
 * must not make us type a secret where it is shown and kept. */
static bool echoes(int tty)
{
    struct termios t;
    return tcgetattr(tty, &t) != 0 || (t.c_lflag & ECHO) != 0;
}

static void type_secret(struct become *b, int tty)
{
    if (echoes(tty)) {
        failed(b, "become-failed");
        return;
    }
    b->secret[b->secret_len] = '\n';
    ssize_t n = write(tty, b->secret, b->secret_len + 1);
    bool whole = n == (ssize_t)b->secret_len + 1;
    become_fini(b);
    b->answered = true;
    if (whole)
        b->state = BECOME_ANSWERED;
    else
        failed(b, "become-failed");
}

/* A prompt that gets no answer: the terminal's end of file, which waits there until it is read. A
 * signal alone is lost between sudo's prompt and its read; sudo would then be killed, and its log
 * would not tell of the attempt. Only now the terminal has such a character: in a password it is
 * one like any other. */
static void no_answer(struct become *b, int tty, const char *problem)
{
    static const char eof = 'D' & 0x1f;
    struct termios t;
    if (tcgetattr(tty, &t) == 0) {
        t.c_cc[VEOF] = (cc_t)eof;
        if (tcsetattr(tty, TCSANOW, &t) == 0)
            (void)!write(tty, &eof, 1);
    }
    failed(b, problem);
}

void become_answer(struct become *b, int tty)
{
    if (b->state == BECOME_RUNNING || b->state == BECOME_FAILED)
        return;
    if (b->prompts > 1)
        no_answer(b, tty, "become-wrong-password");
    else if (b->prompts == 1 && !b->may_answer)
        no_answer(b, tty, "become-password-needed");
    else if (b->prompts == 1 && b->state == BECOME_WAITING)
        b->state = BECOME_ASKED;
    if (b->state == BECOME_ASKED && b->have_secret)
        type_secret(b, tty);
}

void become_tty(struct become *b, int tty)
{
    char part[512];
    ssize_t n;
    while ((n = read(tty, part, sizeof part)) > 0) {
        size_t gone = keep_last(b->said, &b->n_said, part, (size_t)n);
        b->seen = b->seen > gone ? b->seen - gone : 0;
        count_prompts(b);
        if ((size_t)n < sizeof part)
            break;
    }
}

void become_note(struct become *b, const void *p, size_t n)
{
    (void)keep_last(b->note, &b->n_note, p, n);
}

/* A whole line of ours at the end of the note: "\036TOKEN go PID" or "\036TOKEN cwd". */
static void look_for_mark(struct become *b)
{
    char line[96] = {0};
    size_t start = b->n_note - 1, len = strlen(b->token);
    while (start > 0 && b->note[start - 1] != '\n' && b->note[start] != MARK)
        start--;
    size_t n = b->n_note - start - 1;
    if (b->note[start] != MARK || n >= sizeof line || n < len + 2)
        return;
    memcpy(line, b->note + start, n);
    if (strncmp(line + 1, b->token, len) != 0 || line[len + 1] != ' ')
        return;
    b->n_note = start;
    become_fini(b); /* a password that was not needed */
    uint64_t pid;
    const char *word = line + len + 2;
    if (strncmp(word, "go ", 3) == 0 && num_u64(word + 3, 1, INT32_MAX, &pid, NULL) == RC_OK) {
        b->state = BECOME_RUNNING;
        b->pid = (pid_t)pid;
    } else {
        failed(b, "cwd-failed");
    }
}

bool become_stderr(struct become *b, int fd)
{
    char c;
    ssize_t n = 0;
    while (b->state != BECOME_RUNNING && b->state != BECOME_FAILED && (n = read(fd, &c, 1)) == 1) {
        become_note(b, &c, 1);
        if (c == '\n')
            look_for_mark(b);
    }
    return !(n == 0 && b->state != BECOME_RUNNING && b->state != BECOME_FAILED);
}

/* ---- what it meant ---- */

static bool has(const struct become *b, const char *what)
{
    size_t n = strlen(what);
    return memmem(b->note, b->n_note, what, n) != NULL ||
           memmem(b->said, b->n_said, what, n) != NULL;
}

const char *become_meaning(const struct become *b, int status, bool had_output)
{
    static const struct {
        const char *text, *problem;
    } SAYS[] = {
        {"incorrect password", "become-wrong-password"},
        {"incorrect authentication attempt", "become-wrong-password"},
        {"Sorry, try again", "become-wrong-password"},
        {"Authentication failed, try again", "become-wrong-password"}, /* sudo-rs */
        {"not in the sudoers", "become-denied"},
        {"is not allowed to", "become-denied"},
        {"you are not allowed to", "become-denied"},
        {"may not run sudo", "become-denied"},
        {"I'm afraid I can't do that", "become-denied"}, /* sudo-rs */
        {"unknown user", "become-denied"},
        {"user '", "become-denied"}, /* sudo-rs: user 'x' not found */
        {"account validation failure", "become-denied"},
        {"Account expired", "become-denied"},
        {"must have a tty", "become-tty-required"},
        {"a terminal is required", "become-tty-required"},
        {"a password is required", "become-password-needed"},
    };
    bool sudo_said = has(b, "sudo: ") || has(b, "Sorry, ") || has(b, "not in the sudoers") ||
                     has(b, "may not run sudo") || has(b, "is not allowed to run sudo");
    /* Its own refusals are exit 1 without any output of a command. */
    if (b->direct && (had_output || !WIFEXITED(status) || WEXITSTATUS(status) != 1 || !sudo_said))
        return NULL;
    for (unsigned i = 0; i < sizeof SAYS / sizeof *SAYS; i++)
        if (has(b, SAYS[i].text))
            return SAYS[i].problem;
    return b->direct ? NULL : "become-failed";
}

/* Our own prompt, and the whole of our own command in its "not allowed to execute '…'". */
static size_t skip_ours(const struct become *b, const char *text, size_t at, size_t n)
{
    static const char run[] = "execute '", as[] = "' as ";
    size_t len = strlen(b->token);
    if (text[at] == '[' && n - at > len + 2 && memcmp(text + at + 1, b->token, len) == 0)
        return len + 2;
    if (b->direct || n - at < sizeof run || memcmp(text + at, run, sizeof run - 1) != 0)
        return 0;
    const char *end = memmem(text + at, n - at, as, sizeof as - 1);
    return end != NULL ? (size_t)(end + 2 - (text + at)) : 0;
}

static void put_line(char *line, size_t *n, size_t cap, char c)
{
    bool blank = c == '\n' || c == '\r' || c == ' ' || c == '\t';
    if (*n + 1 < cap && (!blank || (*n > 0 && line[*n - 1] != ' ')))
        line[(*n)++] = blank ? ' ' : c;
}

void become_detail(const struct become *b, char *dst, size_t cap)
{
    char line[2 * BECOME_TEXT] = "";
    size_t n = 0;
    const char *parts[] = {b->note, b->said};
    const size_t lens[] = {b->n_note, b->n_said};
    for (unsigned i = 0; i < 2; i++)
        for (size_t k = 0; k < lens[i];) {
            size_t ours = skip_ours(b, parts[i], k, lens[i]);
            if (ours > 0)
                for (const char *p = parts[i][k] == '[' ? " " : "run it "; *p != '\0'; p++)
                    put_line(line, &n, sizeof line, *p);
            else
                put_line(line, &n, sizeof line, parts[i][k]);
            k += ours > 0 ? ours : 1;
        }
    while (n > 0 && line[n - 1] == ' ')
        n--;
    str_escape_to(dst, cap, line, n, 0);
}
