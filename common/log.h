/* Messages for people about the program itself, on standard error, one line each.
 *
 * Results never go here and messages never go to standard output. What could act on a
 * terminal is escaped here (str_escape). Any thread: one write per line.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level max); /* default LOG_LEVEL_WARN; -v info, -vv debug */
enum log_level log_get_level(void);

/* "muster: error: …", "muster: warning: …", "muster: …", "muster: debug: …" */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Sends lines elsewhere (a progress display that must redraw; a test); NULL restores stderr.
 * The line has no newline. */
void log_set_sink(void (*fn)(enum log_level, const char *line, void *user), void *user);

#endif
