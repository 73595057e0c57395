/* The messages between the coordinator and a worker: proto/PROTOCOL.md says what they mean.
 *
 * Encoders append one whole frame to a buffer, or nothing. Decoders are strict: every field has a
 * range, a name that is not known is refused, text is escaped again. Strings of a decoded message
 * are in the struct or borrowed from the frame. Pure; any thread.
 */
#ifndef CONTROLLER_WORKER_MSG_H
#define CONTROLLER_WORKER_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/secrets/secrets.h"
#include "controller/ssh/session.h"
#include "proto/frame.h"

enum msg_type {
    /* coordinator to worker; the frame's id is the key's number or the job */
    MSG_KEY = 1,
    MSG_STDIN = 2, /* raw: 1 byte, 1 on the last part; then bytes */
    MSG_START = 3,
    MSG_HOSTKEY_ANSWER = 4,
    MSG_CANCEL = 5,
    MSG_PAUSE = 6,     /* empty */
    MSG_RESUME = 7,    /* empty */
    MSG_PING = 8,      /* empty; answered with PONG */
    MSG_CALM = 9,      /* raw: 4 bytes, milliseconds that hosts may be kept waiting */
    MSG_SIGNED = 11,   /* what came of a SIGN */
    MSG_IDENTITY = 12, /* the id is the key's number */
    MSG_SECRET = 13,   /* raw: the password that SECRET_WANTED asked for; empty: none is given */
    MSG_EXEC = 14,     /* the next command of a warm job */
    MSG_INPUT = 15,    /* raw: 1 byte, 1 on the last part; then bytes for its standard input */
    MSG_FINISH = 16,   /* empty: no further command */
    MSG_GO = 17,       /* empty: what ANSWERED waits for */
    /* worker to coordinator */
    MSG_TROUBLE = 64,
    MSG_HOSTKEY = 65,
    MSG_AUTHENTICATED = 66, /* empty */
    MSG_SENT = 67,          /* empty */
    MSG_DATA = 68,          /* raw: 1 byte, 1 stdout or 2 stderr; then bytes */
    MSG_DONE = 69,
    MSG_PONG = 70, /* empty */
    MSG_SIGN = 73,
    MSG_SECRET_WANTED = 74, /* empty: a password would go to the host now */
    MSG_BEGUN = 75,         /* empty: the job has left the line, its time runs */
    MSG_READY = 76,         /* empty: it is set up, and shut in */
    MSG_ENDED = 77,         /* a warm job's command is over: as DONE */
    MSG_SILENT = 79,        /* empty: the connect is not answered yet */
    MSG_ANSWERED = 80,      /* empty: now it is; waits for GO */
    MSG_TAKEN = 78,         /* raw: 4 bytes, so much INPUT went out */
};

enum {
    MSG_MAX_KEY_TEXT = 256 * 1024,
    MSG_MAX_PASSPHRASE = 1024,
    MSG_MAX_LABEL = 1024,
    MSG_MAX_USER = 256,
    MSG_MAX_TYPES = 1024,
    MSG_MAX_HOST = 255,
    MSG_MAX_DETAIL = sizeof(((struct outcome *)0)->detail), /* with its NUL */
    MSG_MAX_KEY_TYPE = 64,
    MSG_MAX_BLOB = 16 * 1024,
    MSG_MAX_SIGN_DATA = 20 * 1024,
    MSG_MAX_SIGNATURE = 8 * 1024,
    MSG_STDIN_PART = 512 * 1024,
    MSG_STDIN_MAX = 64 * 1024 * 1024, /* all blobs together */
    MSG_DATA_PART = 256 * 1024,
    MSG_INPUT_PART = 64 * 1024,
    MSG_MAX_CALM_MS = 1000,
};

/* Ten years: no time limit of ours is longer. */
#define MSG_MAX_MS ((uint64_t)315360000000)

struct msg_key {
    const char *text; /* the file, not terminated */
    size_t len;
    bool has_passphrase;
    char passphrase[MSG_MAX_PASSPHRASE + 1]; /* wipe it: msg_key_wipe */
    char label[MSG_MAX_LABEL + 1];
};
/* Appends; the caller has reserved the room (MSG_KEY_ROOM) where no copy may stay behind. */
enum rc msg_put_key(struct buf *out, unsigned id, const char *text, size_t len,
                    const char *passphrase, const char *label);
#define MSG_KEY_ROOM(len) ((size_t)FRAME_HEADER + (len) + MSG_MAX_PASSPHRASE + MSG_MAX_LABEL + 64)
enum rc msg_get_key(const struct frame *f, struct msg_key *m, struct err *e);
void msg_key_wipe(struct msg_key *m);

/* The frame's id is the number of the blob, below SESSION_MAX_BLOBS. */
enum rc msg_put_stdin(struct buf *out, unsigned blob, const void *p, size_t n, bool last);
enum rc msg_get_stdin(const struct frame *f, const void **p, size_t *n, bool *last, struct err *e);

/* The spec's strings are terminated copies in the same struct; command is borrowed. */
struct msg_start {
    struct session_spec spec;
    char label[MSG_MAX_LABEL + 1];
    char user[MSG_MAX_USER + 1];
    char hostkey_types[MSG_MAX_TYPES + 1];
    char via_host[MSG_MAX_HOST + 1];
};
/* RC_LIMIT when a string or the command is too long. */
enum rc msg_put_start(struct buf *out, uint64_t job, const struct session_spec *spec);
enum rc msg_get_start(const struct frame *f, struct msg_start *m, struct err *e);

struct msg_hostkey_answer {
    enum hostkey_answer answer;
    enum problem problem;
    char detail[MSG_MAX_DETAIL];
};
/* A detail that is too long is cut. */
enum rc msg_put_hostkey_answer(struct buf *out, uint64_t job, enum hostkey_answer a,
                               enum problem problem, const char *detail);
enum rc msg_get_hostkey_answer(const struct frame *f, struct msg_hostkey_answer *m, struct err *e);

/* At most SECRETS_MAX_TEXT bytes. The caller has reserved the room (MSG_SECRET_ROOM), so that no
 * copy stays behind; *text is borrowed from the frame and not terminated. */
#define MSG_SECRET_ROOM ((size_t)FRAME_HEADER + SECRETS_MAX_TEXT)
enum rc msg_put_secret(struct buf *out, uint64_t job, const void *text, size_t len);
enum rc msg_get_secret(const struct frame *f, const char **text, size_t *len, struct err *e);

/* RC_LIMIT when the command is too long or a number out of range. */
enum rc msg_put_exec(struct buf *out, uint64_t job, const struct session_command *c);
/* The text is borrowed from the frame; it holds no NUL. */
enum rc msg_get_exec(const struct frame *f, struct session_command *c, struct err *e);
/* At most MSG_INPUT_PART bytes; none only with `last`. */
enum rc msg_put_input(struct buf *out, uint64_t job, const void *p, size_t n, bool last);
enum rc msg_get_input(const struct frame *f, const void **p, size_t *n, bool *last, struct err *e);
/* 1 to SESSION_MAX_INPUT. */
enum rc msg_put_taken(struct buf *out, uint64_t job, size_t n);
enum rc msg_get_taken(const struct frame *f, size_t *n, struct err *e);

/* 0 to MSG_MAX_CALM_MS. */
enum rc msg_put_calm(struct buf *out, unsigned ms);
enum rc msg_get_calm(const struct frame *f, unsigned *ms, struct err *e);

enum rc msg_put_cancel(struct buf *out, uint64_t job, enum problem problem, bool now);
enum rc msg_get_cancel(const struct frame *f, enum problem *problem, bool *now, struct err *e);

/* Messages without a payload: PAUSE, RESUME, BEGUN, AUTHENTICATED, SENT, SECRET_WANTED, FINISH, GO,
 * SILENT, ANSWERED. */
enum rc msg_put_empty(struct buf *out, enum msg_type type, uint64_t id);
enum rc msg_get_empty(const struct frame *f, struct err *e);

/* Something that is not about one job: a key that cannot be imported, no memory for the input. */
struct msg_trouble {
    enum rc rc;
    char message[512];
};
enum rc msg_put_trouble(struct buf *out, enum rc rc, const char *message);
enum rc msg_get_trouble(const struct frame *f, struct msg_trouble *m, struct err *e);

struct msg_hostkey {
    char key_type[MSG_MAX_KEY_TYPE + 1]; /* printable ASCII without blanks */
    const void *blob;
    size_t len; /* 1 to MSG_MAX_BLOB */
};
enum rc msg_put_hostkey(struct buf *out, uint64_t job, const char *key_type, const void *blob,
                        size_t len);
enum rc msg_get_hostkey(const struct frame *f, struct msg_hostkey *m, struct err *e);

/* n at most MSG_DATA_PART. */
enum rc msg_put_data(struct buf *out, uint64_t job, bool is_stderr, const void *p, size_t n);
/* Makes the DATA frame at `mark`, the last of the buffer, longer. RC_LIMIT: start another. */
enum rc msg_more_data(struct buf *out, size_t mark, const void *p, size_t n);
enum rc msg_get_data(const struct frame *f, bool *is_stderr, const void **p, size_t *n,
                     struct err *e);

/* A key without a private part of its own: one that an agent signs with, or a certificate for the
 * private key `base`. */
struct msg_identity {
    bool agent;
    unsigned base;    /* of a certificate */
    const void *blob; /* borrowed; 1 to KEY_BLOB_MAX */
    size_t len;
    const char *label;
    char label_text[MSG_MAX_LABEL + 1]; /* of a message that was read: `label` */
};
enum rc msg_put_identity(struct buf *out, unsigned id, const struct msg_identity *m);
enum rc msg_get_identity(const struct frame *f, struct msg_identity *m, struct err *e);

struct msg_sign {
    unsigned key;
    const void *data; /* borrowed; 1 to MSG_MAX_SIGN_DATA */
    size_t len;
};
enum rc msg_put_sign(struct buf *out, uint64_t job, unsigned key, const void *data, size_t n);
enum rc msg_get_sign(const struct frame *f, struct msg_sign *m, struct err *e);

struct msg_signed {
    enum sign_answer answer;
    const void *sig; /* borrowed; with SIGN_OK 1 to MSG_MAX_SIGNATURE bytes, otherwise none */
    size_t len;
    char detail[MSG_MAX_DETAIL];
};
enum rc msg_put_signed(struct buf *out, uint64_t job, enum sign_answer a, const void *sig,
                       size_t len, const char *detail);
enum rc msg_get_signed(const struct frame *f, struct msg_signed *m, struct err *e);

enum rc msg_put_done(struct buf *out, uint64_t job, const struct session_result *r);
enum rc msg_put_ended(struct buf *out, uint64_t job, const struct session_result *r);
/* Of either. */
enum rc msg_get_done(const struct frame *f, struct session_result *r, struct err *e);

#endif
