/*
 * say.h - messages for people.
 *
 * Every one on stderr is a line "quiverfs: SUBJECT: what is wrong", SUBJECT being the
 * file that it is about. Names, paths and texts of others may be in any of them: what a terminal
 * would obey is not shown (printable.h).
 */
#ifndef SAY_H
#define SAY_H

/* A line without "quiverfs:" never stands alone on stderr. The functions return
 * nothing: where stderr cannot be written there is nobody to tell. */
void say_error(const char *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An error whose whole reason is the text of a negative errno. */
void say_errno(const char *subject, int result);

/* An error that the engine has put into words: `text` may already begin with
 * the path of the store. Where it is empty, the text of the negative errno. */
void say_engine(const char *subject, const char *text, int result);

/* Something worth knowing that is not an error: "quiverfs: SUBJECT: note: ...". */
void say_note(const char *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line on stdout, or on stderr where stdout has been given away: what a command has done or found. */
void say_result(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A question on stderr, whose answer is typed behind it. */
void say_question(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What goes to stdout from here on is data that nothing may be mixed with. Main thread only. */
void say_leave_stdout(void);

#endif
