/* See procs.h. */
#include "agent/procs.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"

/* "pid (comm) S ppid …": comm may hold anything, so what follows is found from the last ')'. */
static bool parse(char *text, struct proc *out)
{
    char *p = strrchr(text, ')');
    if (p == NULL || p[1] != ' ' || p[2] == '\0')
        return false;
    out->state = p[2];
    p += 3;
    out->parent = (pid_t)strtol(p, &p, 10);
    for (unsigned field = 5; field <= 22; field++) { /* proc(5): 22 is starttime */
        char *end;
        unsigned long long v = strtoull(p, &end, 10);
        if (end == p)
            return false;
        p = end;
        out->start = v;
    }
    return true;
}

bool procs_look(pid_t pid, struct proc *out)
{
    char text[1024], name[32];
    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    *out = (struct proc){.pid = pid};
    return parse(text, out);
}

static size_t read_all(struct proc **list)
{
    size_t n = 0, cap = 0;
    struct dirent *d;
    DIR *dir = opendir("/proc");
    *list = NULL;
    if (dir == NULL)
        return 0;
    while (n < PROCS_MAX && (d = readdir(dir)) != NULL) {
        char *end;
        long pid = strtol(d->d_name, &end, 10);
        if (pid <= 0 || *end != '\0' || mem_grow(list, &cap, n + 1, sizeof **list) != 0)
            continue;
        n += procs_look((pid_t)pid, &(*list)[n]);
    }
    closedir(dir);
    return n;
}

/* A child that /proc hides: what waitpid would say of it is known all the same. */
static struct proc hidden_child(pid_t pid)
{
    siginfo_t si = {0};
    bool ended =
        waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid == pid;
    return (struct proc){.pid = pid, .parent = getpid(), .state = ended ? 'Z' : '?'};
}

static bool add_child(struct proc **list, size_t *n, size_t *cap, pid_t pid)
{
    if (*n >= PROCS_MAX || mem_grow(list, cap, *n + 1, sizeof **list) != 0)
        return false;
    if (!procs_look(pid, &(*list)[*n]))
        (*list)[*n] = hidden_child(pid);
    ++*n;
    return true;
}

size_t procs_children(struct proc **list)
{
    char name[48], part[1024];
    size_t n = 0, cap = 0;
    ssize_t got = 0;
    pid_t pid = 0;
    snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return procs_below(getpid(), false, list);
    *list = NULL;
    while ((got = read(fd, part, sizeof part)) > 0)
        for (ssize_t i = 0; i < got; i++) {
            if (part[i] >= '0' && part[i] <= '9')
                pid = pid * 10 + (part[i] - '0');
            else if (pid > 0 && add_child(list, &n, &cap, pid))
                pid = 0;
        }
    close(fd);
    return n;
}

static bool is_below(const struct proc *list, size_t n, pid_t parent, pid_t root)
{
    if (parent == root)
        return true;
    for (size_t i = 0; i < n; i++)
        if (list[i].pid == parent)
            return list[i].below;
    return false;
}

size_t procs_below(pid_t root, bool deep, struct proc **list)
{
    size_t n = read_all(list), kept = 0;
    if (*list == NULL)
        return 0;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            struct proc *p = &(*list)[i];
            if (p->below || !is_below(*list, deep ? n : 0, p->parent, root))
                continue;
            p->below = true;
            more = deep;
        }
    }
    for (size_t i = 0; i < n; i++)
        if ((*list)[i].below)
            (*list)[kept++] = (*list)[i];
    return kept;
}
