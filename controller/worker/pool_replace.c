/* A worker in the place of a dead one. See pool.h.
 *
 *   dies → is another due? ─ no ─→ its place stays empty, its jobs have ended
 *              │ yes: `coming`, new jobs are held for it
 *   handles closed (and a wait, when none got as far as being ready) → started, equipped → alive
 */
#include "controller/worker/pool_internal.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"

void pool_note_progress(struct pool *p)
{
    if (++p->progress < POOL_SPARE_PER)
        return;
    p->progress = 0;
    if (p->spare < POOL_SPARE)
        p->spare++;
}

/* Called again when starting one failed: `coming` holds then already. */
void pool_plan_replacement(struct pool_worker *w)
{
    struct pool *p = w->pool;
    w->stillborn = w->ready ? 0 : w->stillborn + 1;
    w->wait = w->stillborn > 0 ? 1u << w->stillborn : 0;
    w->coming = !p->closing && p->spare > 0 && w->stillborn < POOL_STILLBORN_MAX;
    if (!w->coming)
        return;
    p->spare--;
    w->ready = false;
    w->unproven = true;
}

/* There will be none: what was held for it ends like what runs in one that dies. */
static void give_up(struct pool_worker *w, const struct err *why)
{
    char text[400];
    struct pool *p = w->pool;
    snprintf(text, sizeof text, "no process takes the place of worker %u: %s", w->number, why->msg);
    p->ops.trouble(p->user, RC_INTERNAL, text, pool_alive(p) == 0);
    pool_end_jobs(w, text);
}

/* The process is there but cannot be followed. */
static void undo(struct pool_worker *w)
{
    uint64_t cpu = 0;
    w->alive = false;
    pool_unwatch(w);
    kill(w->process.pid, SIGKILL);
    spawn_reap(&w->process, 1, &w->status, &cpu);
    w->pool->cpu_us += cpu;
    w->reaped = true;
    w->buried = true;
    chan_fini(&w->chan);
    close(w->process.pidfd);
    w->process.pidfd = -1;
}

static enum rc start(struct pool_worker *w, struct err *e)
{
    enum rc rc = spawn_again(&w->process, e);
    if (rc != RC_OK)
        return rc;
    w->reaped = w->buried = false;
    w->status = 0;
    w->fault[0] = '\0';
    w->quiet = w->calm_ms = 0;
    pool_channel(w);
    rc = pool_watch(w, e);
    if (rc != RC_OK) {
        undo(w);
        return rc;
    }
    w->alive = true;
    w->coming = false;
    if (pool_equip(w) != RC_OK)
        pool_condemn(w, "no memory for what it is to be given");
    return RC_OK;
}

static void try_start(struct pool_worker *w)
{
    struct err e = {0};
    if (start(w, &e) == RC_OK) {
        log_info("worker %u is process %ld now", w->number, (long)w->process.pid);
        return;
    }
    pool_plan_replacement(w);
    if (!w->coming)
        give_up(w, &e);
}

void pool_vacated(struct pool_worker *w)
{
    chan_fini(&w->chan);
    if (w->process.pidfd >= 0)
        close(w->process.pidfd);
    w->process.pidfd = -1;
    if (w->coming && w->wait == 0)
        try_start(w);
}

void pool_replace_beat(struct pool_worker *w)
{
    if (w->wait > 0)
        w->wait--;
    if (w->wait == 0 && w->handles == 0)
        try_start(w);
}
