/* ssh's patterns: * and ?, lists with commas and negation (ssh_config(5), PATTERNS). */
#include "controller/sshconfig/internal.h"

#include <ctype.h>
#include <string.h>

/* Iterative with one point of return: linear in name times pattern. */
bool match_pattern(const char *name, const char *pattern)
{
    const char *star = NULL, *mark = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            mark = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star + 1;
            name = ++mark;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

static void copy_lower(char *dst, const char *src, size_t n, bool lower)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = lower ? (char)tolower((unsigned char)src[i]) : src[i];
    dst[n] = '\0';
}

int match_list(const char *name, const char *list, bool lower)
{
    char one[1024], folded[1024];
    int found = 0;
    if (strlen(name) >= sizeof folded)
        return 0;
    copy_lower(folded, name, strlen(name), lower);
    for (const char *p = list; *p != '\0';) {
        bool negated = *p == '!';
        p += negated;
        size_t n = strcspn(p, ",");
        if (n >= sizeof one)
            return 0;
        copy_lower(one, p, n, lower);
        if (match_pattern(folded, one)) {
            if (negated)
                return -1;
            found = 1;
        }
        p += n + (p[n] == ',');
    }
    return found;
}
