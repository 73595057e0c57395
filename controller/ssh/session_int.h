/* What session.c (the machine) and session_env.c (what sessions share) know of each other.
 * Nobody else includes this. Loop thread only.
 */
#ifndef CONTROLLER_SSH_SESSION_INT_H
#define CONTROLLER_SSH_SESSION_INT_H

#include "common/buf.h"
#include "controller/ssh/bridge.h"
#include "controller/ssh/diagnose.h"
#include "controller/ssh/session.h"
#include "controller/ssh/ssh_io.h"
#include "controller/ssh/ssh_io_agent.h"
#include "controller/ssh/wheel.h"
#include "controller/vault/secret.h"

enum session_state {
    S_CONNECT, /* our own TCP connect is under way */
    S_FORWARD, /* instead: a channel through the link is asked for */
    S_HELD,    /* connected, late; waiting for session_go */
    S_BANNER,  /* connected; waiting for the server's first line */
    S_KEX,     /* key exchange */
    S_HOSTKEY, /* waiting for session_hostkey_answer */
    S_SERVICE, /* asking for the login service */
    S_AUTH,    /* keys, one after the other */
    S_SIGN,    /* waiting for session_sign_answer */
    S_LINKED,  /* a link: logged in, carries what its bridges bring */
    S_OPEN,    /* opening the channel */
    S_REQUEST, /* the command was sent, not yet confirmed */
    S_RUN,     /* the command runs */
    S_TERM,    /* it was sent TERM; its end is awaited */
    S_KILL,    /* it was sent KILL; its end is awaited */
    S_SHUT,    /* warm: the command is over for us, its channel is being closed */
    S_IDLE,    /* warm: waits for the next command */
    S_CLOSE,   /* everything is given back; the poll handle's close callback is awaited */
    S_DONE,    /* done was called */
    S_COUNT
};

struct session_env {
    uv_loop_t *loop;
    struct wheel wheel;
    uv_idle_t idle;           /* runs while `woken` is not empty */
    struct session *woken;    /* to be ticked in the next turn; linked by next_woken */
    struct session *sessions; /* all not yet done; linked by next */
    size_t active;
    size_t bridges; /* not yet freed */
    struct env_key {
        struct sshio_key *key; /* NULL: no such number */
        char *label;
    } * keys;
    size_t key_cap;
    struct sshio_agent *agent; /* through which libssh is told what the agent signed */
    struct env_blob {          /* input of commands */
        bool there;
        struct buf bytes;
    } blobs[SESSION_MAX_BLOBS];
    bool left_some; /* of what waits in a socket: see session_env_hurries */
    bool paused;
    uint64_t paused_ms; /* since when */
    unsigned closing;   /* handles not yet closed */
    void (*closed)(void *user);
    void *closed_user;
};

/* What it has come to until now: a struct session_result without the room for the longest texts,
 * which would be a third of all that a session of ours takes. Thousands may be open at once. */
struct so_far {
    struct so_far_outcome { /* as struct outcome */
        enum problem problem;
        enum phase phase;
        int exit_code;
        char signal[sizeof(((struct outcome *)0)->signal)];
        bool may_still_run, sent;
        char *detail; /* NULL: "" */
    } outcome;
    struct session_timing timing;
    uint64_t stdout_bytes, stderr_bytes;
    char *server_banner; /* escaped; NULL: "" */
};

struct session {
    struct session_env *env;
    struct session *prev, *next;
    struct session *next_woken;
    bool is_woken;
    const struct session_ops *ops; /* the caller's; outlives the session */
    void *user;

    enum session_state state;
    int fd;      /* ours until ssh_io takes it; -1 */
    bool polled; /* poll is initialised */
    bool closed; /* poll is closed, or never was: done may be called */
    bool ready;  /* the socket was reported ready since the last tick */
    bool broken; /* the poll handle reported an error and has stopped itself */
    int events;  /* what poll waits for now */
    bool silent; /* it was told that nothing was heard */
    bool went;   /* session_go */
    uv_poll_t poll;
    struct wheel_timer timer;
    struct sshio *io;
    struct prelude *prelude; /* in BANNER; NULL before and after */

    uint64_t start_us;
    uint64_t state_due_ms;  /* of this state; 0: none */
    uint64_t budget_due_ms; /* of everything before the command is sent */
    uint64_t silent_due_ms; /* tell that nothing was heard; 0: told, or nobody wants to know */
    uint64_t run_ms;        /* start of the run, moved on by pauses */
    uint64_t heard_ms;      /* last data of the run, likewise */
    uint64_t state_bytes;   /* sshio_bytes_in when the state began */
    unsigned graces;        /* times a deadline was put off since bytes had just come */

    /* copies of the spec */
    enum session_kind kind;
    union resolve_addr addr;
    char *where; /* "10.0.0.7 port 22" */
    char *user_name;
    char *label;
    char *command; /* freed once it was confirmed */
    unsigned keys[SESSION_MAX_KEYS];
    unsigned key_count;
    bool restricted; /* only host key types on record were offered */
    char *hostkey_types;
    bool legacy;
    uint64_t connect_budget_ms, tcp_budget_ms, run_timeout_ms, silence_timeout_ms;

    /* through a link, and as a link */
    char *via;             /* name of the link, NULL: none */
    struct bridge *bridge; /* to the link */
    bool link_lost;
    char *lost;             /* how the link ended; NULL: "" */
    struct bridge *bridges; /* of the sessions behind us */
    size_t held;            /* bytes that wait in their channels */
    bool was_full;          /* too many of them, when we looked last */
    bool more;              /* a bridge stopped, and not for the far end: serve again */

    /* host key */
    bool asked, answered;
    enum hostkey_answer answer;
    enum problem answer_problem;
    char *answer_detail; /* of a rejection; NULL: "" */

    /* login */
    unsigned key_at;
    bool offered; /* keys[key_at] was offered and accepted: sign now */
    unsigned keys_tried;
    bool partial; /* a key was accepted, but the server wants more */
    enum login_way { LOGIN_KEYS, LOGIN_PASSWORD, LOGIN_PROMPTS } way;
    bool has_password;
    bool wanted;             /* the owner was asked for it; an answer is awaited while !given */
    bool given;              /* it answered */
    bool password_sent;      /* never twice */
    bool password_accepted;  /* and the server wants more */
    struct secret *password; /* terminated; from the answer until it was used */
    uint64_t wanted_ms;      /* since when an answer is awaited */
    unsigned rounds;         /* of questions, see session_password.c */
    struct session_sign {
        bool answered;
        bool pending; /* the key is offered anew while the agent thinks: see session_agent.c */
        bool refused; /* the agent said no to a key of ours */
        bool failed;  /* it answers no more */
        enum sign_answer answer;
        uint64_t since_ms;
        void *signature; /* for keys[key_at], or NULL */
        size_t len;
        char *detail; /* why there is none */
    } sign;

    uint64_t run_bytes;    /* sshio_bytes_in when the request went out */
    uint64_t data_packets; /* that brought bytes of the command */
    /* what the command reads: session_input.c */
    size_t input_done; /* bytes of it sent */
    bool eof_sent;
    bool input_ended; /* duplex: session_input_eof was called */
    uint8_t blob;
    uint8_t input;       /* enum input_kind */
    uint32_t taken;      /* duplex: bytes sent that were not told yet */
    uint32_t waiting_at; /* bytes of `waiting` that were sent */
    struct buf waiting;  /* duplex: what could not be sent yet; no memory while there is none */

    /* a warm one */
    bool rested;       /* it has been idle: the command is not its first */
    bool finish;       /* no further command */
    bool reopened;     /* the channel of this command was refused once */
    enum problem over; /* in SHUT: what the command came to; NONE: its end tells */
    uint64_t exec_us;  /* since the start, when the command was given; 0 for the first */

    enum problem cancel; /* PROBLEM_NONE: nobody asked */
    bool cancel_now;
    bool cancel_seen; /* acted upon */

    struct so_far result;
};

enum step {
    STEP_NEXT, /* the state changed: go on with the new one */
    STEP_WAIT, /* an event or a deadline is awaited */
    STEP_END,  /* the session ended: touch nothing but the struct */
};

/* Runs the machine as far as it goes without waiting. */
void session_tick(struct session *s);
/* Ticks it in the next turn of the loop. */
void session_wake(struct session *s);
/* Asks the loop for what the state needs now. */
void session_rearm(struct session *s);
/* Sets the wheel timer to the nearest deadline. */
void session_set_deadline(struct session *s);
/* The clocks of the run stood still for ms. */
void session_skip_clock(struct session *s, uint64_t paused_ms, uint64_t now_ms);
/* Calls done and frees: from the loop only. */
void session_report(struct session *s);

/* Of the state it is in. */
enum phase session_phase(const struct session *s);
/* Since the start; never 0. */
uint64_t session_elapsed_us(const struct session *s);
/* The one door to a state; STEP_END for S_CLOSE, otherwise STEP_NEXT. */
enum step session_move(struct session *s, enum session_state to);
/* The server sends more requests than any use explains. */
bool session_floods(const struct session *s);
void session_on_deadline(struct wheel_timer *timer);

/* session_input.c: gives the command its input as the window and the socket take it, then EOF. OK
 * or DEAD. */
enum sshio_step session_feed(struct session *s);
void session_drop_input(struct session *s); /* nobody reads it any more */

/* session_warm.c: the states of a warm session, and what is different in the others. */
/* The command is over as far as we are concerned: its channel is closed and the session goes idle.
 * over: what it came to, noted already; NONE: what its end, seen by then, tells. */
enum step session_shut(struct session *s, enum problem over);
enum step session_in_shut(struct session *s);
enum step session_shut_late(struct session *s);
enum step session_in_idle(struct session *s);
/* A channel was refused that was not the session's first. */
enum step session_reopen(struct session *s);
/* It is over while its command had ended: tells so. The state is IDLE then, or what the owner made
 * of it; nothing happens when the command's end is not known. */
void session_tell_last(struct session *s);

/* session_budget.c: after a step that waits. STEP_WAIT, or STEP_END: the server sent more than
 * `budget` bytes in this state (0: no bound), or floods us while the command runs. */
enum step session_check_budget(struct session *s, uint64_t budget);

/* session_login.c: one step of a state each. */
enum step session_in_hostkey(struct session *s);
enum step session_in_service(struct session *s);
enum step session_in_auth(struct session *s);

/* session_connect.c */
enum { SESSION_HELD_MS = 5 * 1000 }; /* one that was answered late, until there is a place for it */
enum step session_in_connect(struct session *s);
enum step session_in_held(struct session *s);
/* There is a stream to the server on s->fd, which poll watches, whatever carries it. */
enum step session_connected(struct session *s);
/* A deadline: was it only the time to tell that nothing was heard? */
bool session_tell_silent(struct session *s);
/* session.c: libssh's callback. */
void session_on_data(void *user, bool is_stderr, const void *p, size_t n);

/* session_link.c */
enum step session_in_forward(struct session *s);
enum step session_in_linked(struct session *s);
/* The bastion has not answered in time. */
enum step session_forward_late(struct session *s, const char *took);
/* The way to the host ended under us: that is what happened, whatever it looked like from here. */
enum problem session_blame_link(struct session *s, enum problem problem);
/* session_password.c: what comes when the keys are through. */
/* Whether a question of keyboard-interactive asks for the password, by its words. Pure. */
bool session_asks_password(const char *prompt, bool echo);
enum step session_after_keys(struct session *s);
enum step session_in_password(struct session *s); /* with another way than LOGIN_KEYS */
/* The loop has nothing to tell: the owner's answer is what is awaited. */
bool session_awaits_password(const struct session *s);
/* session_login.c: no way is left. */
enum step session_auth_failed(struct session *s);
enum step session_authenticated(struct session *s);

/* session_agent.c: a key that an agent signs with. */
enum sshio_step session_agent_step(struct session *s, const struct sshio_key *key);
enum step session_agent_ask(struct session *s); /* after SSHIO_SIGN */
enum step session_in_sign(struct session *s);
void session_agent_forget(struct session *s); /* the key is done with */

/* session_login.c: the key was of no use; the next one, or the end. */
enum step session_next_key(struct session *s);

/* session_end.c: every way out. Each returns STEP_END, with everything given back. */
/* With what is in the outcome. */
enum step session_end(struct session *s, enum problem problem);
/* With a detail, escaped here; may_still_run when the command was sent. */
enum step session_fail(struct session *s, enum problem problem, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What the command came to, into the outcome: its end was seen, or the end of a cancel. */
enum problem session_judge(struct session *s);
enum problem session_judge_cancel(struct session *s);
void session_fill_result(const struct so_far *from, struct session_result *to);
/* The channel is closed: what the command came to. */
enum step session_command_ended(struct session *s);
/* The end, or the end of our patience, of a command that we wanted to end. */
enum step session_cancel_ended(struct session *s);
/* libssh says that the session is over. */
enum step session_died(struct session *s);
void session_free(struct session *s);
/* A copy for people, in place of the one before; without memory there is none. s may be NULL. */
void session_note(char **text, const char *s);

void env_link(struct session_env *env, struct session *s);
void env_unlink(struct session_env *env, struct session *s);
const struct sshio_key *env_key(const struct session_env *env, unsigned id);

#endif
