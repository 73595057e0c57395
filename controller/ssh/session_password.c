/* What comes when the keys are through: the password, as the method of that name or as the answer
 * to one question of keyboard-interactive. See session.h.
 *
 * A secret is sent once in a session, by one of the two methods, and only as the answer to what it
 * is the answer to. Everything else that a server may ask (a code, a new password, several things
 * at once) ends the login with what was asked: a wrong guess costs an account, and a right secret
 * in the wrong place is given away. Where the other half of a login with two factors is a key, the
 * chain goes on, before the password or after it.
 */
#include "controller/ssh/session_int.h"

#include <ctype.h>
#include <string.h>

#include "common/clock.h"
#include "common/str.h"

enum {
    ROUNDS_MAX = 6,   /* of questions, empty ones included: some servers send one or two of these */
    PROMPT_MAX = 256, /* bytes of a question that are looked at */
};

/* ---- which question asks for the password ---- */

/* Lower case, words apart by one blank, with a blank at either end; what is not ASCII stays. */
static void normalise(char *dst, size_t cap, const char *s)
{
    size_t len = 0;
    dst[len++] = ' ';
    for (size_t i = 0; i < PROMPT_MAX && s[i] != '\0' && len + 2 < cap; i++) {
        unsigned char c = (unsigned char)s[i];
        bool part = c >= 0x80 || isalnum(c);
        if (part)
            dst[len++] = (char)tolower(c);
        else if (dst[len - 1] != ' ')
            dst[len++] = ' ';
    }
    if (dst[len - 1] != ' ')
        dst[len++] = ' ';
    dst[len] = '\0';
}

static bool holds_any(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strstr(text, *words) != NULL)
            return true;
    return false;
}

bool session_asks_password(const char *prompt, bool echo)
{
    /* What PAM's and the systems' own modules call it; not ASCII as it is written there. */
    static const char *const names[] = {
        "password",   "passwd",      "passwort",     "kennwort",     "passord",
        "losenord",   "lösenord",    "mot de passe", "contrase",     "senha",
        "wachtwoord", "adgangskode", "salasana",     "has\xc5\x82o", "heslo",
        "jelsz",      "parola",      "parolă",       "пароль",       "Пароль",
        "パスワード", "密码",        "密碼",         "口令",         "암호",
        NULL};
    /* Another secret, or the dialogue about an expired password. */
    static const char *const others[] = {
        " new ",          " current ",  " old ",     " retype ",  " again ",    " repeat ",
        " confirm ",      " reenter ",  " code ",    " token ",   " otp ",      " oath ",
        " totp ",         " one time ", " onetime ", " pin ",     " passcode ", " challenge ",
        " verification ", " factor ",   " change ",  " expired ", " yubikey ",  " duo ",
        " neues ",        " nouveau ",  " nueva ",   NULL};
    char text[PROMPT_MAX + 4];
    if (echo || strlen(prompt) > PROMPT_MAX)
        return false;
    normalise(text, sizeof text, prompt);
    return holds_any(text, names) && !holds_any(text, others);
}

/* ---- asking our owner ---- */

bool session_awaits_password(const struct session *s)
{
    return s->state == S_AUTH && s->wanted && !s->given;
}

static enum step want(struct session *s)
{
    s->wanted = true;
    s->wanted_ms = clock_ms();
    session_set_deadline(s);
    s->ops->password(s->user);
    return STEP_WAIT;
}

enum rc session_password_answer(struct session *s, const char *text, size_t len)
{
    if (!session_awaits_password(s))
        return RC_OK;
    enum rc rc = RC_OK;
    if (text != NULL && len > 0)
        rc = secret_new(&s->password, len + 1, NULL);
    if (text != NULL && s->password != NULL) {
        memcpy(s->password->data, text, len);
        s->password->data[len] = '\0';
    }
    uint64_t waited = clock_ms() - s->wanted_ms;
    s->budget_due_ms += s->budget_due_ms > 0 ? waited : 0;
    s->state_due_ms += s->state_due_ms > 0 ? waited : 0;
    s->given = true;
    session_set_deadline(s);
    session_wake(s);
    return rc;
}

/* It was used, or is of no use: nobody shall find it in our memory later. */
static void drop(struct session *s)
{
    secret_free(s->password);
    s->password = NULL;
}

/* ---- the ways ---- */

static enum step refused(struct session *s)
{
    char methods[96], keys[48] = "";
    drop(s);
    sshio_auth_methods(s->io, methods, sizeof methods);
    if (s->keys_tried > 0)
        snprintf(keys, sizeof keys, " and %u key%s", s->keys_tried, s->keys_tried == 1 ? "" : "s");
    if (s->password_accepted)
        return session_fail(s, PROBLEM_AUTH_DENIED,
                            "the password was accepted for %s, but the server also wants %s",
                            s->user_name, methods[0] != '\0' ? methods : "more");
    return session_fail(s, PROBLEM_AUTH_DENIED,
                        "the password%s %s refused for %s; it is not tried again", keys,
                        s->keys_tried > 0 ? "were" : "was", s->user_name);
}

enum step session_after_keys(struct session *s)
{
    bool password = sshio_auth_takes(s->io, "password");
    bool prompts = sshio_auth_takes(s->io, "keyboard-interactive");
    if (s->password_sent)
        return refused(s);
    if (!s->has_password || (!password && !prompts))
        return session_auth_failed(s);
    s->way = password ? LOGIN_PASSWORD : LOGIN_PROMPTS;
    return STEP_NEXT;
}

/* What the password did not settle, a key may. */
static enum step go_on(struct session *s)
{
    drop(s);
    s->partial = s->password_accepted = true;
    if (!sshio_auth_takes(s->io, "publickey") || s->key_count == 0)
        return refused(s);
    s->way = LOGIN_KEYS;
    s->key_at = 0;
    s->offered = false;
    return STEP_NEXT;
}

/* SSH_MSG_USERAUTH_PASSWD_CHANGEREQ, which libssh lets no session live through. */
static enum step died(struct session *s)
{
    drop(s);
    if (s->password_sent && strstr(sshio_error(s->io), "rejected packet (type 60)") != NULL)
        return session_fail(s, PROBLEM_AUTH_DENIED,
                            "the password of %s has expired: the server asks for a new one",
                            s->user_name);
    return session_died(s);
}

static enum step settle(struct session *s, enum sshio_step step)
{
    switch (step) {
    case SSHIO_AGAIN: return STEP_WAIT;
    case SSHIO_OK: drop(s); return session_authenticated(s);
    case SSHIO_DEAD: return died(s);
    case SSHIO_PARTIAL: return go_on(s);
    default: return refused(s);
    }
}

static enum step not_given(struct session *s)
{
    return session_fail(s, PROBLEM_AUTH_DENIED, "no password was given for %s", s->user_name);
}

static enum step in_method(struct session *s)
{
    if (!s->wanted)
        return want(s);
    if (!s->given)
        return STEP_WAIT;
    if (s->password == NULL)
        return not_given(s);
    s->password_sent = true;
    return settle(s, sshio_auth_password(s->io, s->user_name, (const char *)s->password->data));
}

static enum step asked_otherwise(struct session *s, const struct sshio_question *q)
{
    char text[PROMPT_MAX];
    str_escape_to(text, sizeof text, q->text, strlen(q->text), 0);
    drop(s);
    if (q->count > 1)
        return session_fail(s, PROBLEM_AUTH_DENIED,
                            "the server asks %u things at once (\"%s\" first); only one question "
                            "for a password is answered",
                            q->count, text);
    return session_fail(s, PROBLEM_AUTH_DENIED, "%s the server asks \"%s\"; %s",
                        s->password_sent ? "after the password" : "before any password", text,
                        "only one question for a password is answered");
}

/* One round. Empty ones (a message for people) are answered by nothing. */
static enum step in_prompts(struct session *s)
{
    if (s->wanted && !s->given)
        return STEP_WAIT;
    if (s->wanted && !s->password_sent) {
        if (s->password == NULL)
            return not_given(s);
        s->password_sent = true;
        if (sshio_answer(s->io, (const char *)s->password->data) != RC_OK)
            return session_fail(s, PROBLEM_LOCAL_RESOURCE, "out of memory");
        drop(s);
    }
    enum sshio_step step = sshio_auth_prompts(s->io, s->user_name);
    if (step != SSHIO_ASKED)
        return settle(s, step);
    struct sshio_question q;
    sshio_question(s->io, &q);
    if (++s->rounds > ROUNDS_MAX)
        return session_fail(s, PROBLEM_HOSTILE,
                            "the login never comes to an end: %u rounds of "
                            "keyboard-interactive",
                            s->rounds - 1);
    if (q.count == 0)
        return STEP_NEXT;
    if (q.count > 1 || s->wanted || !session_asks_password(q.text, q.echo))
        return asked_otherwise(s, &q);
    return want(s);
}

enum step session_in_password(struct session *s)
{
    return s->way == LOGIN_PASSWORD ? in_method(s) : in_prompts(s);
}
